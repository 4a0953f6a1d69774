"""The matrix product that convolution and linear layers share: it chooses the method and writes into a given array."""

from __future__ import annotations

from typing import Any

from circuits.engine.device.tensor_kinds import contiguous, on_cuda
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.product_methods import choose_method, find_method
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.padding import padded

Array = Any
"""A NumPy array, or a CUDA tensor of torch."""


def gathered_matmul(
    circuit: MultiplierCircuit,
    x: Array,
    w: Array,
    out: Array,
    places: Places,
    *,
    method: str = "auto",
    threads: int | None = None,
) -> None:
    """Writes matrix products into `out`, elements read and written where `places` says, for every group g:

    out.flat[out_at[m] + n out_step + g out_group]
        = sum over k, ascending, of x.flat[x_at[m] + x_step[k] + g x_group] * w[g N + n, k].

    All arrays are C-contiguous, w is [groups N, K]. Float circuits: float32, sums begin at +0 and are float32 after
    every addition. Integer circuits: x and w hold codes of `multiplier_circuit.code_dtype`, out exact sums, int32 or
    int64, which must be wide enough (`multiplier_circuit.sum_dtype`). `method`: a name in `product_methods.METHODS` or
    "auto". The result depends neither on it nor on `threads` (default: all cores).

    CUDA tensors, all on one device, are multiplied there (`circuits.engine.device`), with the same results.
    """
    if 0 in out.shape:
        return
    if not places.depth:
        # A sum of no products is +0.
        for group in places.of_groups():
            columns = len(w) // places.groups
            for n in range(columns):
                out.reshape(-1)[group.out_at + n * group.out_step] = 0
        return
    if on_cuda(x):
        from circuits.engine.device import cuda_tensors

        cuda_tensors.gathered_matmul(circuit, x, w, out, places, method)
        return
    find_method(choose_method(circuit, method)).run(circuit, x, w, out, places, threads)


def padded_matmul(
    circuit: MultiplierCircuit,
    x: Array,
    w: Array,
    out: Array,
    places: Places,
    padding: tuple[int, int, int, int],
    value: int = 0,
    *,
    method: str = "auto",
    threads: int | None = None,
) -> None:
    """`gathered_matmul` of images x [B, C, H, W], where `places` counts the elements of the padded images.

    `padding`: rows above and below, and columns to the left and right, of the number or code `value`.
    """
    x = contiguous(x)
    if any(padding) and not value and 0 not in out.shape and places.depth and not on_cuda(x):
        chosen = find_method(choose_method(circuit, method))
        if chosen.run_padded(circuit, x, w, out, places, padding, threads):
            return
    gathered_matmul(circuit, padded(x, padding, value, threads), w, out, places, method=method, threads=threads)
