module m(input [3:0] a, b, output reg [7:0] p);
  reg [1:0] first; reg signed [4:0] r; integer i; reg carry;
  always @* begin
    if (a[3]) first = 3; else if (a[2]) first = 2; else if (a[1]) first = 1; else first = 0;
    r = 0; carry = 1'b0;
    for (i = 3; i >= 0; i = i - 1) begin
      r = r <<< 1 | b[i];
      if (r >= $signed({1'b0, a}) && a != 0) begin r = r - $signed({1'b0, a}); carry = ~carry; end
    end
    {p[7:4], p[3:0]} = {first, carry, r};
    case ({carry, first})
      3'd0, 3'd5: p[1:0] = p[3:2];
      default: if (b > 4'd9) p[7] = !p[7];
    endcase
  end
endmodule
