module m #(parameter integer W = 4)(input [W-1:0] a, b, output reg [2*W-1:0] p);
  integer i;
  always @(a or b) begin
    p = 0;
    for (i = 0; i < W; i = i + 1)
      if (b[i]) p = p + (a << i);
  end
endmodule
