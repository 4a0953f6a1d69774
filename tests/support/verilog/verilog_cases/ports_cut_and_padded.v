`default_nettype none
module inner(input wire signed [2:0] x, input wire [3:0] y, output wire signed [3:0] z);
  assign z = x ^ y;
endmodule
module m(input wire [3:0] a, b, output wire [7:0] p);
  wire signed [1:0] n = a[1:0];
  inner u(.x(n), .y(b[1:0]), .z(p[7:2]));
  inner v(.x(a), .y(b), .z(p[1:0]));
endmodule
