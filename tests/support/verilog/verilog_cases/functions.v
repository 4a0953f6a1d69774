module m(input [3:0] a, b, output [7:0] p);
  function [4:0] add; input [3:0] x, y; reg c; integer k; begin
    c = 0;
    for (k = 0; k < 4; k = k + 1) begin
      add[k] = x[k] ^ y[k] ^ c;
      c = (x[k] & y[k]) | (c & (x[k] | y[k]));
    end
    add[4] = c;
  end endfunction
  function automatic signed [3:0] half(input signed [3:0] x); half = x >>> 1; endfunction
  function integer clog2(input integer n); begin
    clog2 = 0;
    for (n = n - 1; n > 0; n = n >> 1) clog2 = clog2 + 1;
  end endfunction
  localparam L = clog2(7);
  wire [L-1:0] low = half(b);
  assign p = {low, add(a, b)};
endmodule
