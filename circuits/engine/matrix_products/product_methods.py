"""The methods that compute a matrix product bit for bit, and which one a circuit takes.

A new method is one file in this folder and one line in MODULES. All methods give the same bits; they differ in the
circuits that they serve and in speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Protocol

from numpy.typing import NDArray

from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.errors import DesignError, unknown_name

Array = NDArray[Any]
Padding = tuple[int, int, int, int]


class PreparedRows(Protocol):
    """A matrix product of given shape."""

    def run(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the float32 arrays at these addresses, plus bias[n] if given."""


@dataclass(frozen=True)
class ProductMethod:
    """A way to compute matrix products. A method's module defines one as `METHOD`.

    `refusal(circuit)`: "" if the method serves the circuit, else the reason as part of a sentence ("needs ...").
    `run(circuit, x, w, out, places, threads)` is `gathering.gathered_matmul` with its operands checked; M, N and K are
    at least 1. `prepare_rows(circuit, M, K, N)`: x [M, K] times w [N, K], all contiguous float32, prepared so that a
    call costs little more than its products; None where that gains nothing. `run_padded(circuit, x, w, out, places,
    padding, threads)` is `gathering.padded_matmul` with zeros for a method that need not copy the images to pad them;
    it returns whether it has computed the product.
    """

    refusal: Callable[[MultiplierCircuit], str]
    run: Callable[[MultiplierCircuit, Array, Array, Array, Places, int | None], None]
    prepare_rows: Callable[[MultiplierCircuit, int, int, int], PreparedRows | None] = lambda circuit, m, k, n: None
    run_padded: Callable[[MultiplierCircuit, Array, Array, Array, Places, Padding, int | None], bool] = (
        lambda circuit, x, w, out, places, padding, threads: False
    )


MODULES = {
    "native": "circuits.engine.matrix_products.native_method",
    "table": "circuits.engine.matrix_products.table_method",
    "gate": "circuits.engine.matrix_products.gate_method",
}
"""Method -> module, the fastest first; the last one serves every circuit."""

METHODS = tuple(MODULES)
"""Names of the methods."""


@cache
def find_method(name: str) -> ProductMethod:
    """The method of that name; UnknownNameError names the nearest valid names."""
    if name not in MODULES:
        raise unknown_name("way of computing", name, ("auto", *MODULES))
    method = import_module(MODULES[name]).METHOD
    # import_module returns Any; the assertion also catches a file without a proper METHOD.
    assert isinstance(method, ProductMethod)
    return method


@lru_cache(maxsize=1024)
def choose_method(circuit: MultiplierCircuit, name: str = "auto") -> str:
    """`name`, or for "auto" the first method that serves the circuit. Raises DesignError where `name` does not."""
    if name == "auto":
        return next(method for method in METHODS if not find_method(method).refusal(circuit))
    reason = find_method(name).refusal(circuit)
    if reason:
        raise DesignError(f"compute={name!r} {reason}; leave the choice to compute='auto'.")
    return name


def refusals(circuit: MultiplierCircuit) -> dict[str, str]:
    """Method -> why it does not serve the circuit, a part of a sentence ("needs ..."), for those that do not."""
    reasons = {name: find_method(name).refusal(circuit) for name in METHODS}
    return {name: reason for name, reason in reasons.items() if reason}
