"""Build a multiplier: one cell, every order of its ports, then a mixed array inside a float32 multiplier."""

from itertools import permutations

import numpy as np

from circuits import AdderCell, Design, error_metrics

cell = AdderCell.from_expressions("lopsided", sum="A & ~B | Cin", carry="A | B & Cin")

print("p, s, c: partial product, running sum, carry on ports A, B, Cin")
for topology in ("ripple_array", "carry_save_array"):
    for ports in map("".join, permutations("psc")):
        small = Design(format=None, width=4, topology=topology, ports=ports, placement=cell)
        print(f"{topology:17} {ports}  15 * 13 = {small.multiply_integers([15], [13])[0]:3}", end="")
        print(f"  13 * 15 = {small.multiply_integers([13], [15])[0]:3}  NMED {error_metrics(small).nmed.value:.3f}")

columns = [cell] * 24 + ["exact"] * 24  # by product column, the least significant first
mine = Design(topology="carry_save_array", ports="scp", placement={"columns": columns}, name="mine")
activations, weights = np.float32([0.856, 1.5, -2.0]), np.float32(0.471)  # first operand: activation, second: weight
print(mine.multiply(activations, weights), "exact:", activations * weights)
print(mine == Design.from_toml(mine.to_toml()), mine.digest[:16])
