module fa(input a, b, c, output s, co); assign {co, s} = a + b + c; endmodule
module m(a, b, p);
  parameter W = 4;
  localparam signed [3:0] NEG = -3;
  input [W-1:0] a, b; output [7:0] p; reg [7:0] p = 8'd0;
  reg [3:0] K = 4'd5; 
  reg [7:0] pp [0:3];
  integer i;
  always @(a, b) begin : blk
    reg [7:0] acc;
    for (i = W - 1; i >= 0; i = i - 1) pp[i] = b[i] ? {4'b0, a} << i : 8'b0;
    acc = pp[0] + pp[1];
    case (1'b1)
      a[3]: acc = acc + 1;
      b[3]: acc = acc - NEG;
    endcase
    casex ({a[1:0], b[0]})
      3'b1x0: acc[7] = ~acc[7];
      3'b0x1, 3'b11x: acc = acc ^ K;
      default: ;
    endcase
    p <= acc + {pp[2] + pp[3]};
  end
endmodule
