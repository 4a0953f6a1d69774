module scale #(parameter [3:0] P = 1, parameter signed Q = 0, parameter H = 4'sb1000) (input [3:0] x, output [7:0] y);
  localparam integer SUM = P + Q;
  assign y = x + Q ^ P ^ (H >>> 1) ^ SUM;
endmodule
module m #(parameter W = 4, N = 2 ** W - 1, K = (W / 2) * (W % 3 + 1)) (input [0:W-1] a, input [3:0] b, output [7:0] p);
  wire signed [4:0] d = a - b;
  wire [K-1:-1] shifted = {a, 1'b1};
  wire [7:0] s, t, u;
  scale #(.P(-1), .Q(-3)) one (.x(b), .y(s));
  scale #(3, N) two (a, t);
  genvar i;
  generate for (i = 0; i < W / 2; i = i + 1) begin : pairs
    assign u[i*2+1 -: 2] = a[i*2 +: 2] + b[2*i+1:2*i];
    if (i % 2) assign u[7:6] = shifted[1:0]; else assign u[5:4] = shifted[0 -: 2];
  end endgenerate
  wire signed [7:0] wide = d;
  assign {p[0], p[7:1]} = (wide >>> 1) + (s ^ t) - (a[1:2] ? u : d < 0 ? -8'sd5 : $signed(b) * 3);
endmodule
