"""How a layer's products are computed: the registry of the forward computations and of the gradients.

The bit-accurate ways are the methods of the engine (`circuits.engine.matrix_products.product_methods`). Another way to
compute products is one module with a `Products` and one line in `FORWARD`. A new gradient is one line in `GRADIENTS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from circuits import Design, DesignError
from circuits.engine.matrix_products.product_methods import METHODS, choose_method
from circuits.errors import unknown_name
from cnn_eval.layers.bit_exact_products import BitExactProducts
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.layer_products import Products
from cnn_eval.layers.lowered_products import LoweredProducts
from cnn_eval.layers.slope_products import SlopeProducts

__all__ = ["BACKWARD", "COMPUTE", "ComputedBy", "check_backward", "check_compute", "compute_argument", "products_for"]

FORWARD: Mapping[str, Callable[[Design], Products]] = MappingProxyType(
    {
        **{method: partial(BitExactProducts, method=method) for method in METHODS},
        "lowered": LoweredProducts,
    }
)
"""Name -> the forward computation for a design; raises DesignError for designs that it cannot serve."""
COMPUTE = ("auto", *FORWARD)

GRADIENTS: Mapping[str, Callable[[Design, Products], Products]] = MappingProxyType(
    {
        "ste": lambda design, forward: ExactProducts(),
        "approximate": lambda design, forward: forward,
        "slope": lambda design, forward: SlopeProducts(design),
        "table1d": lambda design, forward: _needs_codes(),
        "table2d": lambda design, forward: _needs_codes(),
    }
)
"""Name -> what computes the gradients of a float layer, from its design and its forward computation.

What quantised layers make of these names: `cnn_eval.quantized.integer_gradients`.
"""
BACKWARD = tuple(GRADIENTS)


class ComputedBy(NamedTuple):
    """`compute`: the name of the forward computation, never "auto"; what computes the output and the gradients."""

    compute: str
    forward: Products
    gradients: Products


def products_for(layer: str, design: Design, *, compute: str, backward: str) -> ComputedBy:
    """What computes the products of the layer named `layer`.

    Raises DesignError, naming the layer, for a design that `compute` or `backward` cannot serve.
    """
    if design.float_format is None:
        raise DesignError(
            f"layer {layer} is not quantised and needs a design with a float format, but {design.label} has "
            "format=None; quantise the network first: cnn_eval.quantize, or --quantize on the command line."
        )
    chosen = choose_method(design) if compute == "auto" else compute
    option = f"compute={chosen!r}"
    try:
        forward = FORWARD[chosen](design)
        option = f"backward={backward!r}"
        return ComputedBy(chosen, forward, GRADIENTS[backward](design, forward))
    except DesignError as error:
        # The engine's own refusal already names the option.
        where = f"layer {layer}" if str(error).startswith(option) else f"layer {layer}, {option}"
        raise type(error)(f"{where}: {error}") from None


def _needs_codes() -> Products:
    raise DesignError("needs an integer design in a quantised layer; choose ste, approximate or slope.")


def check_compute(compute: str) -> None:
    """Raises UnknownNameError unless `compute` is one of `COMPUTE`."""
    if compute not in COMPUTE:
        raise unknown_name("way of computing", compute, COMPUTE)


def check_backward(backward: str) -> None:
    """Raises UnknownNameError unless `backward` is one of `BACKWARD`."""
    if backward not in BACKWARD:
        raise unknown_name("backward mode", backward, BACKWARD)


def compute_argument(compute: str, mode: str | None) -> str:
    """The `compute` of a public function that still takes it under the old name `mode`, which warns."""
    if mode is None:
        return compute
    warnings.warn(
        f"the argument `mode` is now called `compute` and will be removed; write compute={mode!r}.",
        DeprecationWarning,
        stacklevel=3,
    )
    return mode
