"""Which kernel multiplies many rows: what is known of the operands, and whether using it pays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.engine.known_operands.sparse_matmul_kernel import (
    GROUP_BLOCKS,
    sparse_matmul_kernel,
    sparse_scratch_bytes,
)
from circuits.engine.known_operands.weight_gates import WeightGates, weight_gates
from circuits.engine.llvm.float_gates import float_gates
from circuits.engine.llvm.float_parts import scratch_bytes
from circuits.engine.llvm.wide_matmul_kernel import matmul_kernel

KERNELS = ("dense", "sparse", "staged")
"""Multiply everything; leave zero activations out; the same with gates for a known weight. All give the same bits."""

_FEW_ZEROS = 1 / 8
"""Share of zeros among the activations from which leaving them out pays."""
_SAMPLE = 256
_PRODUCTS_OF_COMPILATION = 1 << 28
"""Products that take as long as making gates for a known weight, about .2 s: those are made when a circuit has
computed as many, so that short work does not wait for them and long work loses little."""


@dataclass(frozen=True)
class WideKernel:
    """`run`: a kernel with the arguments of `wide_matmul_kernel.matmul_ir`, `gates_address` the first of them.

    `scratch_bytes(columns)`: the scratch that it needs. `group_blocks`: most blocks of rows a call, which are better
    taken together; 0 where they are independent.
    """

    run: Any
    gates_address: int
    scratch_bytes: Callable[[int], int]
    group_blocks: int


def wide_kernel(
    circuit: FloatCircuit, x: NDArray[np.float32], products: int, *, normal: bool, name: str = "auto"
) -> WideKernel:
    """The kernel for a matrix product of so many products with activations `x`.

    `normal`: whether no product can leave the normal range, zeros aside; if one can, everything is multiplied. `name`:
    one of KERNELS, or "auto" for the fastest.
    """
    assert name in ("auto", *KERNELS)
    if not normal or name == "dense":
        settings, gates = float_gates(circuit)
        kernel = matmul_kernel(settings, "normal" if normal else "full")
        return WideKernel(kernel, gates.gates_address, scratch_bytes, 0)
    staged = None if name == "sparse" else known_weight_gates(circuit, products if name == "auto" else None)
    settings, gates = float_gates(circuit)
    if staged is not None:
        kernel = sparse_matmul_kernel(settings, weight_gates=True)
        return WideKernel(kernel, staged.gates_address, sparse_scratch_bytes, GROUP_BLOCKS)
    if name == "auto" and estimated_nonzeros(x) > (1 - _FEW_ZEROS) * x.size:
        return wide_kernel(circuit, x, products, normal=normal, name="dense")
    return WideKernel(sparse_matmul_kernel(settings), gates.gates_address, sparse_scratch_bytes, GROUP_BLOCKS)


def estimated_nonzeros(x: NDArray[np.float32]) -> float:
    """How many elements are not zero, estimated from a sample, which takes no time beside the products."""
    # An odd distance, so that a sample does not keep to some columns of an image.
    sample = x.reshape(-1)[:: x.size // _SAMPLE | 1]
    return np.count_nonzero(sample) / sample.size * x.size


def known_weight_gates(circuit: FloatCircuit, products: int | None) -> WeightGates | None:
    """The circuit's gates for a known weight, or None if it has none.

    Also None unless so many more products make compiling them worth while; with `products` None they are made anyway.
    """
    return weight_gates(circuit) if products is None or repays_compilation(circuit, products) else None


def repays_compilation(circuit: FloatCircuit, products: int) -> bool:
    """Counts so many products of the circuit; whether those counted until now would have repaid a compilation."""
    return _work(circuit).repays_compilation(products)


class _Work:
    """How many products a circuit has computed."""

    def __init__(self) -> None:
        self._products = 0
        self._lock = threading.Lock()

    def repays_compilation(self, products: int) -> bool:
        """Counts so many products; whether those counted until now would have repaid the compilation."""
        with self._lock:
            self._products += products
            return self._products > _PRODUCTS_OF_COMPILATION


@lru_cache(maxsize=256)
def _work(circuit: FloatCircuit) -> _Work:
    return _Work()
