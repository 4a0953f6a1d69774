"""Whether products are bilinear in the bits of their operands, decided from the list of all products."""

from __future__ import annotations

import numpy as np

from circuits import Design, Netlist


def every_product(netlist: Netlist) -> np.ndarray:
    """[2^w, 2^v] products, by the imported design's own simulation."""
    w, v = (len(bus) for bus in netlist.inputs.values())
    multiplier = Design(netlist=netlist)
    return multiplier.multiply_integers(np.arange(1 << w)[:, None], np.arange(1 << v), backend="reference").astype(
        object
    )


def is_bilinear(products: np.ndarray) -> bool:
    """Whether some matrix gives these products [2^w, 2^v]: they must be linear in each operand's bits."""
    w, v = (size.bit_length() - 1 for size in products.shape)
    for i in range(w):
        for k in range(1 << i):  # P(x + 2^i) = P(x) + P(2^i) for x < 2^i, for every y
            if (products[k | 1 << i] != products[k] + products[1 << i]).any():
                return False
    columns = products.T
    return all(
        (columns[k | 1 << j] == columns[k] + columns[1 << j]).all() for j in range(v) for k in range(1 << j)
    ) and not (products[0].any() or columns[0].any())
