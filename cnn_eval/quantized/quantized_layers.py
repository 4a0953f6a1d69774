"""Convolution and linear layers of integers: what `quantize` makes of a network's layers.

Between layers values are float32. A layer turns its input into codes, multiplies them by its weights' codes through an
integer design, or exactly, adds the products as integers, and scales the sum back to float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from circuits import Design, DesignError
from circuits.engine.matrix_products.product_methods import choose_method
from circuits.errors import unknown_name
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLayer, ApproximateLinear
from cnn_eval.layers.product_kinds import BACKWARD, COMPUTE, ComputedBy
from cnn_eval.quantized.accumulators import Accumulator, OverflowCount
from cnn_eval.quantized.grid import Grid
from cnn_eval.quantized.integer_gradients import INTEGER_GRADIENTS
from cnn_eval.quantized.quantized_products import QuantizedProducts
from cnn_eval.quantized.schemes import SCHEMES, scheme_for
from cnn_eval.quantized.schemes.scheme import Scheme

__all__ = [
    "GRID_BUFFERS",
    "QuantizedConv2d",
    "QuantizedLayer",
    "QuantizedLinear",
    "layers_of_integers",
    "make_quantized",
]

Tensor = torch.Tensor
GRID_BUFFERS = ("input_scale", "input_zero_point", "weight_scale", "weight_zero_point")
"""Buffers of a layer: [] float32 and int32 of its input, [N] of its output channels."""
Grids = Mapping[str, Tensor]
"""GRID_BUFFERS -> value."""


class QuantizedLayer(ApproximateLayer):
    """What both kinds of layer share.

    `weight` holds real values, which become codes whenever the layer runs, so that it can be trained. `design` is None
    where products are exact. `scheme` names the scheme, `bits` the widths of the codes of activations and weights;
    `accumulator` limits the sums (None: exact), and `overflows` counts those that left its range since the layer got
    it. `other_grids` are the scales of the other scheme of "auto", which the first design with the other signedness
    brings into use.
    """

    scheme: str
    bits: tuple[int, int]
    accumulator: Accumulator | None
    overflows: OverflowCount | None
    other_grids: tuple[str, Grids] | None
    input_scale: Tensor
    input_zero_point: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor

    @property
    def code_scheme(self) -> Scheme:
        """The scheme itself."""
        return SCHEMES[self.scheme]

    @property
    def input_grid(self) -> Grid:
        """How activations become codes."""
        return Grid(self.input_scale, self.input_zero_point, *self.code_scheme.codes(self.bits[0]))

    @property
    def weight_grid(self) -> Grid:
        """How weights become codes, one scale for each output channel."""
        return Grid(self.weight_scale, self.weight_zero_point, *self.code_scheme.codes(self.bits[1]))

    @property
    def weight_codes(self) -> Tensor:
        """The codes of the weights, int32 of the shape of the weight."""
        return self.weight_grid.codes(self.weight).to(torch.int32)

    def input_codes(self, x: Tensor) -> Tensor:
        """The codes of activations, int32."""
        return self.input_grid.codes(x).to(torch.int32)

    def operands(self, x: Tensor) -> Tensor:
        codes = self.input_codes(x)
        return codes if self._operands_are_codes() else codes.abs()

    def weight_operands(self) -> Tensor:
        return self.weight_codes if self._operands_are_codes() else self.weight_codes.abs()

    @property
    def padding_operand(self) -> int:
        return int(self.input_zero_point)

    def _operands_are_codes(self) -> bool:
        """Whether a design multiplies the codes as they stand, and not their magnitudes."""
        return self.code_scheme.signed == (self.code_scheme.codes(self.bits[0])[0] < 0)

    def computed_by(self, name: str, design: Design, *, compute: str, backward: str) -> ComputedBy:
        """What computes the layer's products through `design`. Raises DesignError, naming the layer, if it cannot."""
        if compute not in COMPUTE:
            raise unknown_name("way of computing", compute, COMPUTE)
        if backward not in BACKWARD:
            raise unknown_name("backward mode", backward, BACKWARD)
        self._check_design(name, design)
        if compute == "lowered":
            raise DesignError(f"layer {name}, compute='lowered' needs a float design; compute integers with 'auto'.")
        option = f"compute={compute!r}"
        try:
            forward = QuantizedProducts(self, design, choose_method(design, compute))
            option = f"backward={backward!r}"
            return ComputedBy(forward.method, forward, INTEGER_GRADIENTS[backward](forward))
        except DesignError as error:
            # The engine's own refusal already names the option.
            where = f"layer {name}" if str(error).startswith(option) else f"layer {name}, {option}"
            raise type(error)(f"{where}: {error}") from None

    def _check_design(self, name: str, design: Design) -> None:
        signed = "signed" if self._scheme_of(design).signed else "unsigned"
        widths = f"{self.bits[0]} x {self.bits[1]} bits"
        if design.float_format is not None:
            raise DesignError(
                f"layer {name} is quantised ({self.scheme}, {widths}) and needs an integer design, format=None, but "
                f"{design.label} has format={design.format!r}; give an integer design."
            )
        if design.signed != self._scheme_of(design).signed or design.shape != self.bits:
            other = "signed" if design.signed else "unsigned"
            raise DesignError(
                f"layer {name} is quantised ({self.scheme}) and needs a design that is {signed} of {widths}, but "
                f"{design.label} is {other} of {design.shape[0]} x {design.shape[1]} bits; give another design, or "
                "quantise with its scheme and bits."
            )

    def _scheme_of(self, design: Design) -> Scheme:
        """The scheme that the layer would use with `design`."""
        if self.other_grids is not None:
            return SCHEMES[scheme_for(signed=design.signed)]
        return self.code_scheme

    def use(self, design: Design, computed_by: ComputedBy, backward: str) -> None:
        self._adopt_scheme(design)
        super().use(design, computed_by, backward)

    def follow(self, designs: Collection[Design]) -> None:
        # A network of "auto" has one scheme throughout wherever its designs agree on one.
        if len({design.signed for design in designs}) == 1:
            self._adopt_scheme(next(iter(designs)))

    def _adopt_scheme(self, design: Design) -> None:
        if self.other_grids is not None and self._scheme_of(design).name != self.scheme:
            used = {name: getattr(self, name) for name in GRID_BUFFERS}
            name, grids = self.other_grids
            self.other_grids = (self.scheme, used)
            self.use_grids(name, grids)

    def accumulate_in(self, accumulator: Accumulator | None) -> None:
        """Gives the layer another accumulator, None for exact sums, and counts its overflows anew."""
        self.accumulator = accumulator
        self.overflows = None if accumulator is None else OverflowCount()

    def use_grids(self, scheme: str, grids: Grids) -> None:
        """Takes other codes for the operands."""
        self.scheme = scheme
        for name in GRID_BUFFERS:
            self.register_buffer(name, grids[name])

    def extra_repr(self) -> str:
        codes = f"scheme={self.scheme}, bits={self.bits}"
        limited = f", accumulator={self.accumulator}" if self.accumulator is not None else ""
        return f"{super().extra_repr()}, {codes}{limited}"


class QuantizedConv2d(QuantizedLayer, ApproximateConv2d):
    """A Conv2d of integers."""


class QuantizedLinear(QuantizedLayer, ApproximateLinear):
    """A Linear layer of integers."""


def make_quantized(
    layer: nn.Module,
    scheme: str,
    grids: Grids,
    *,
    bits: tuple[int, int],
    accumulator: Accumulator | None = None,
    other_grids: tuple[str, Grids] | None = None,
) -> None:
    """Turns a plain Conv2d or Linear into its quantised counterpart, in place, with exact products.

    As in `approximate`, the class is exchanged, so that parameters, hooks and modules in several places are preserved.
    """
    layer.__class__ = QuantizedConv2d if isinstance(layer, nn.Conv2d) else QuantizedLinear
    assert isinstance(layer, (QuantizedConv2d, QuantizedLinear))
    layer.bits = bits
    layer.accumulate_in(accumulator)
    layer.other_grids = other_grids
    layer.use_grids(scheme, grids)
    exact = QuantizedProducts(layer)
    layer.design, layer.recording = None, None
    layer.compute, layer.products, layer.gradients, layer.backward = "auto", exact, exact, "ste"


def layers_of_integers(model: nn.Module) -> dict[str, QuantizedConv2d | QuantizedLinear]:
    """The quantised layers by name, each once."""
    return {
        name: module for name, module in model.named_modules() if isinstance(module, (QuantizedConv2d, QuantizedLinear))
    }
