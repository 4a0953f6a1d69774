module m(a, b, p);
  input wire [3:0] a, b; output reg [7:0] p; parameter [15:0] T = 16'hBEEF;
  always @* begin
    case ({a[1:0], b[1:0]})
      0, 1, 2, 3, 4, 8, 12: p[3:0] = 0;
      5: p[3:0] = 1; 6: p[3:0] = 2; 7: p[3:0] = 3; 9: p[3:0] = 2; 10: p[3:0] = 4;
      11, 14: p[3:0] = 6; 13: p[3:0] = 3; 15: p[3:0] = 7;
    endcase
    p[7:4] = {T[a], T[{b[3:2], a[3:2]}], ^T[3:0], T[5]};
  end
endmodule
