"""Export Verilog: a mixed 8 x 8 array out, read back in, and compared on all 65,536 pairs of operands."""

import numpy as np

from circuits import AdderCell, Design, netlist_from_verilog, to_blif, to_verilog

cell = AdderCell.from_expressions("lopsided", sum="A & ~B | Cin", carry="A | B & Cin")
mine = Design(
    format=None,
    width=8,
    topology="carry_save_array",
    ports="scp",
    placement={"columns": [cell] * 6 + ["exact"] * 10},
    name="mine",
)
text = to_verilog(mine)
print(*text.splitlines()[:20], "...", sep="\n")
print(f"{len(text):,} characters of Verilog, {len(to_blif(mine)):,} of BLIF")

back = Design(netlist=netlist_from_verilog(text, where="mine.v"))
x, y = (values.ravel() for values in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))
products = mine.multiply_integers(x, y)
print("read back the same:", bool((back.multiply_integers(x, y) == products).all()))
print(f"commutative: {bool((mine.multiply_integers(y, x) == products).all())}; 200 * 3 = {products[200 * 256 + 3]}")
