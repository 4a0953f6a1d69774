module fa(input a, b, c, output s, co); assign {co, s} = a + b + c; endmodule
module two(input [1:0] x, input e, output [1:0] y); assign y = x ^ {2{e}}; endmodule
module m(input [3:0] a, b, output [7:0] p);
  wire [4:0] c;
  wire [3:0] s, g;
  assign c[0] = 1'b0;
  fa f[3:0] (.a(a), .b(b), .c(c[3:0]), .s(s), .co(c[4:1]));
  and u[3:0] (g, a, b);
  two t[1:0] (.x(s), .e(b[0]), .y(p[3:0]));
  xor v[0:3] (p[7:4], g, c[4]);
endmodule
