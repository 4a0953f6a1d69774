module cell_add #(parameter KIND = 0, parameter [1:0] P = 2'b10) (input x, y, c, output s, co);
  generate
    if (KIND == 0) begin : exact
      assign {co, s} = x + y + c;
    end else if (KIND == 1) begin : lower
      wire n = x | y; assign s = n; assign co = P[1] & x & y;
    end else begin
      assign s = x; assign co = y;
    end
  endgenerate
endmodule
module m(input [3:0] a, b, output [7:0] p);
  localparam N = 4;
  genvar i;
  for (i = 0; i < N; i = i + 1) begin : bits
    wire s, c;
    if (i == 0) cell_add #(.KIND(1)) u(a[i], b[i], 1'b0, s, c);
    else cell_add #(0) u(.x(a[i]), .y(b[i]), .c(bits[i-1].c), .s(s), .co(c));
    assign p[i] = s;
  end
  generate case (N)
    2: assign p[7:4] = 0;
    4: assign p[7:4] = {3'b0, bits[N-1].c} << (N / 2 - 1);
    default: assign p[7:4] = 1;
  endcase endgenerate
endmodule
