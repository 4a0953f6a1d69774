`timescale 1ns / 1ps
`define ROW(k) (b[k] ? a : 4'd0)
module m(input [3:0] a, b, output [7:0] p);
  wire [4:0] s [0:2];
  wire [0:3] up = a;
  supply0 gnd; supply1 vdd;
  assign s[0] = {gnd, `ROW(0)};
  assign s[1] = s[0][4:1] + `ROW(1);
`ifdef NEVER
  assign "this is skipped
`else
  assign s[2] = s[1][1 +: 4] + (`ROW(2));
`endif
  wire signed [3:0] t = -$signed(a) >>> 1;
  assign #(2, 3) p[1:0] = {s[1][0], s[0][0]}, p[4:2] = s[2][4 -: 3];
  assign p[7:5] = {up[0] & vdd, up[b[1:0]], t[3]};
  initial $display("nothing %d", p);
endmodule
