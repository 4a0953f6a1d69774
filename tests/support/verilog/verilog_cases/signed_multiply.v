(* top *) module m(input signed [3:0] a, b, output signed [7:0] p);
  wire signed [3:0] c = (b >= -4'sd3) ? b : ~b;
  assign p = a * c - 2'sd1;
endmodule
