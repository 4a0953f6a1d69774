"""Matrix products computed twice: by the device's kernels compiled for the host, and one product at a time."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from corner_values import CORNERS_OF_FORMATS

from circuits import Design
from circuits.engine.device.gate_products import Operands
from circuits.engine.device.launching import HostLaunches
from circuits.engine.matrix_products.element_places import places_of_rows
from circuits.engine.multiplier_circuit import code_dtype, sum_dtype


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
    """Random float32 values of both signs; a share `corners` of them is drawn from CORNERS_OF_FORMATS."""
    rng = np.random.default_rng(seed)
    drawn = (rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape))).astype(np.float32)
    return np.where(rng.random(shape) < corners, rng.choice(CORNERS_OF_FORMATS, shape), drawn)


def codes(design: Design, operand: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random codes of an operand, a fifth of them extreme."""
    width = design.shape[operand]
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if design.signed else (0, (1 << width) - 1)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(low, high, shape, endpoint=True)
    drawn = np.where(rng.random(shape) < 0.2, rng.choice([low, low + 1, 0, 1, high], shape), drawn)
    return drawn.astype(code_dtype(width, design.signed))
