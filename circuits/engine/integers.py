"""Integer products straight from a LUT program with two operand buses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.engine import simulate
from circuits.engine.planes import pack, unpack
from circuits.errors import DesignError
from circuits.program import Program


def multiply(program: Program, x: ArrayLike, y: ArrayLike, *, signed: bool = False) -> NDArray[Any]:
    """The `product` bus of `program` (broadcast); `signed`: two's complement. See Design.multiply_integers."""
    operands = []
    for values, (name, width) in zip((x, y), program.inputs.items(), strict=True):
        operands.append(_checked(values, name, width, signed))
    left, right = np.broadcast_arrays(*operands)
    planes = np.concatenate(
        [pack(values.ravel(), width) for values, width in zip((left, right), program.inputs.values(), strict=True)]
    )
    product = simulate(program, planes)
    count = left.size
    low = unpack(product[:64], count)
    if len(product) <= 64:
        if signed:
            unused = np.int64(64 - len(product))
            return np.asarray(low.view(np.int64) << unused >> unused).reshape(left.shape)
        return low.reshape(left.shape)
    parts = [unpack(product[k : k + 64], count).astype(object) << k for k in range(64, len(product), 64)]
    total = low.astype(object)
    for part in parts:
        total = total + part
    if signed:
        total = total - ((total >> (len(product) - 1)) << len(product))
    return np.asarray(total.reshape(left.shape))


def _checked(values: ArrayLike, name: str, width: int, signed: bool) -> NDArray[np.uint64]:
    """`values` as uint64, two's complement of `width` bits if signed."""
    array = np.asarray(values)
    if array.dtype.kind not in "uib" and not (
        array.dtype == object and all(isinstance(v, (int, np.integer)) for v in array.ravel())
    ):
        raise DesignError(f"operand {name} must hold integers, but has dtype {array.dtype}; convert it.")
    least, beyond = (-(1 << width - 1), 1 << width - 1) if signed else (0, 1 << width)
    if array.size and (int(array.min()) < least or int(array.max()) >= beyond):
        bad = int(array.min()) if int(array.min()) < least else int(array.max())
        limits = f"-2^{width - 1} <= {name} < 2^{width - 1}" if signed else f"0 <= {name} < 2^{width}"
        raise DesignError(f"{limits} must hold, but got {bad}; mask the operand.")
    if signed:
        array = array.astype(np.int64)
    return array.astype(np.uint64) & np.uint64((1 << width) - 1)
