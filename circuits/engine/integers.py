"""Integer products straight from a LUT program with two operand buses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine import simulate
from circuits.engine.planes import pack, unpack
from circuits.errors import DesignError
from circuits.program import Program


def multiply(program: Program, x: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """The `product` bus of `program` for unsigned operands (broadcast); see Design.multiply_integers."""
    operands = []
    for values, (name, width) in zip((x, y), program.inputs.items(), strict=True):
        operands.append(_checked(values, name, width))
    left, right = np.broadcast_arrays(*operands)
    planes = np.concatenate(
        [pack(values.ravel(), width) for values, width in zip((left, right), program.inputs.values(), strict=True)]
    )
    product = simulate(program, planes)
    count = left.size
    low = unpack(product[:64], count)
    if len(product) <= 64:
        return low.reshape(left.shape)
    parts = [unpack(product[k : k + 64], count).astype(object) << k for k in range(64, len(product), 64)]
    total = low.astype(object)
    for part in parts:
        total = total + part
    return np.asarray(total.reshape(left.shape))


def _checked(values: ArrayLike, name: str, width: int) -> NDArray[np.uint64]:
    array = np.asarray(values)
    if array.dtype.kind not in "uib" and not (
        array.dtype == object and all(isinstance(v, (int, np.integer)) for v in array.ravel())
    ):
        raise DesignError(f"operand {name} must hold integers, but has dtype {array.dtype}; convert it.")
    if array.size and (array.min() < 0 or int(array.max()) >> width):
        bad = int(array.min()) if array.min() < 0 else int(array.max())
        raise DesignError(f"0 <= {name} < 2^{width} must hold, but got {bad}; mask the operand.")
    return array.astype(np.uint64)
