"""Matrix products computed twice: by the device's kernels compiled for the host, and one product at a time."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from circuits import Design
from circuits.engine.device.gate_products import Operands
from circuits.engine.device.launching import HostLaunches
from circuits.engine.matrix_products.element_places import places_of_rows
from circuits.engine.multiplier_circuit import code_dtype, sum_dtype

_LIMITS = [448, 449, 464, 480, 57344, 61440, 65504, 65519, 65520, 2**-6, 2**-9, 2**-10, 3 * 2.0**-10]
_LIMITS += [2**-14, 2**-16, 2**-17, 1.5 * 2**-17, 2**-24, 2**-25, 1.5 * 2**-24]
"""Values at the limits of narrow formats: the largest, the smallest normal, half of the smallest subnormal."""
CORNERS = np.array(
    [0, 1, 1.5, 1.9999999, 2.0**-126, 2.0**-140, 2.0**-64, 3.4028235e38, 2.0**64, np.inf, np.nan, *_LIMITS],
    dtype=np.float32,
)
CORNERS = np.concatenate([CORNERS, -CORNERS])


def on_host(products: ModuleType, design: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [M, K] @ w [K, N] by `gate_products` or `table_products`; the launch grid runs as loops on the host."""
    (rows, depth), columns = x.shape, w.shape[1]
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w.T)
    out = np.full((rows, columns), 77, dtype=_sums(design, depth))  # every 77 must be overwritten
    operands = Operands(x.ctypes.data, x.size, w.ctypes.data, w.size, out.ctypes.data, 8 * out.itemsize)
    products.run(HostLaunches(), design, operands, places_of_rows(rows, depth, columns))
    return out


def one_by_one(design: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [M, K] @ w [K, N] from elementwise products of the interpreted backend, added in ascending k."""
    sums = np.zeros((len(x), w.shape[1]), dtype=_sums(design, x.shape[1]))
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            if design.float_format is not None:
                sums += design.multiply(x[:, k : k + 1], w[k : k + 1], backend="interpreted")
            else:
                codes = x[:, k : k + 1], w[k : k + 1]
                sums += design.multiply_integers(*codes, backend="interpreted").astype(sums.dtype)
    return sums


def _sums(design: Design, depth: int) -> np.dtype:
    return np.dtype(np.float32) if design.float_format is not None else np.dtype(sum_dtype(design, depth))


def floats(shape: tuple[int, ...], seed: int, corners: float = 0.2) -> np.ndarray:
    """Random float32 values of both signs; a share `corners` of them is drawn from CORNERS."""
    rng = np.random.default_rng(seed)
    drawn = (rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape))).astype(np.float32)
    return np.where(rng.random(shape) < corners, rng.choice(CORNERS, shape), drawn)


def codes(design: Design, operand: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random codes of an operand, a fifth of them extreme."""
    width = design.shape[operand]
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if design.signed else (0, (1 << width) - 1)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(low, high, shape, endpoint=True)
    drawn = np.where(rng.random(shape) < 0.2, rng.choice([low, low + 1, 0, 1, high], shape), drawn)
    return drawn.astype(code_dtype(width, design.signed))
