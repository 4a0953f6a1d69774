module m(input [3:0] a, b, output logic [7:0] p);
  logic [2:0] digit;
  always_comb begin
    case (b[1:0])
      2'b00: p = '0;
      2'd1: p = a;
      2'd2: p = {a, 1'b0};
      default: begin p = a; p += a << 1; end
    endcase
    digit = 3'b0;
    casez (b)
      4'b1???: digit = 3'd4;
      4'b01??: digit = 3'd2;
      4'b001?: digit = 3'd1;
    endcase
    p[7:5] = p[7:5] ^ digit;
    if (a > b) p[0] = ~p[0]; else if (a == b) p[1] = 1'b1;
  end
endmodule
