module m(input [3:0] a, b, output reg [7:0] p);
  reg [3:0] t;
  always @(*) begin
    t <= a & b;
    p <= {t, a ^ b};
  end
endmodule
