"""`approximate`: a torch network whose convolution and linear layers multiply through a design."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from torch import nn

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.approximate_layers import (
    ApproximateConv2d,
    ApproximateLayer,
    ApproximateLinear,
    approximate_layers,
)
from cnn_eval.layers.product_kinds import ComputedBy, check_backward, check_compute, compute_argument, products_for
from cnn_eval.layers.recording import Recording
from cnn_eval.layers.replaceable_layers import check_layers, layer_kinds, survey

__all__ = ["LayerFilter", "approximate", "recomputed"]

LayerFilter = Callable[[str, nn.Module], bool]


def approximate(
    model: nn.Module,
    design: Design | Mapping[str, Design],
    *,
    layers: str = "conv",
    filter: LayerFilter | None = None,
    backward: str = "ste",
    compute: str = "auto",
    record: bool = False,
    mode: str | None = None,
) -> nn.Module:
    """A copy of `model` whose Conv2d and/or Linear layers multiply through `design`; the original is left unchanged.

    A float design serves the layers of a float network; an integer design (format=None) the layers that
    `cnn_eval.quantize` made, if its widths and signedness fit their codes.

    `design`: one design for all layers, or layer name -> design for exactly the layers named (`layers` and `filter`
    are then ignored). `layers`: "conv", "linear" or "all". `filter(name, module)` returns False to keep a layer exact.
    `unreplaced(model)` lists what stays exact because it cannot be replaced.

    `compute`, for the products: "gate" computes every product through the design's gates and adds in float32 in
    ascending k; "native" computes designs that are exact by construction by the processor's own arithmetic, with the
    same results; "lowered" computes designs that are bilinear forms through torch's own products, within the error
    bound of `LoweredProducts`; "auto" is the fastest computation with the same results as "gate".

    `backward`, for the gradients: "ste" (straight-through estimator: the gradients of the exact products),
    "approximate" (the products of the gradients go through the design as well, see `BitExactProducts`), or "slope" (the
    mean slope of the bilinear form, see `SlopeProducts`); for integer designs "ste", "table1d" or "table2d" (from the
    product table, see `cnn_eval.quantized.integer_gradients`). Gradients can be taken once. The bias is added exactly.

    `record=True` keeps operands for `recorded_operands`. Everything is float32 on the CPU, with
    torch.get_num_threads() threads. The state_dict has the original's keys; hooks are kept. `mode` is the old name of
    `compute` and deprecated.

    Raises DesignError for unknown names, for designs that `compute` or `backward` cannot serve, for layers that cannot
    be replaced, and if no layer is replaced.
    """
    compute = compute_argument(compute, mode)
    check_layers(layers)
    check_backward(backward)
    check_compute(compute)
    designs = _chosen_designs(model, design, layers, filter)
    # Before the copy: a design that cannot serve a layer fails at once and leaves nothing half done.
    places = dict(model.named_modules(remove_duplicate=False))
    for name, layer_design in designs.items():
        _computed_by(places[name], name, layer_design, compute=compute, backward=backward)
    result = _copy(model)
    places = dict(result.named_modules(remove_duplicate=False))
    for name, layer_design in designs.items():
        layer = places[name]
        if isinstance(layer, (ApproximateConv2d, ApproximateLinear)) and layer.design is not None:
            # The module stands in two places and was replaced under its other name.
            if layer.design != layer_design:
                raise DesignError(
                    f"a layer must have one design, but {name} is the same module as another named one and got "
                    f"{layer_design.label} after {layer.design.label}; name it once."
                )
            continue
        layer = _replaced(layer)
        layer.use(layer_design, _computed_by(layer, name, layer_design, compute=compute, backward=backward), backward)
        layer.recording = Recording() if record else None
    for module in result.modules():
        if isinstance(module, ApproximateLayer) and module.design is None:
            module.follow(designs.values())
    return result


def recomputed(
    model: nn.Module, *, compute: str | None = None, backward: str | None = None, mode: str | None = None
) -> nn.Module:
    """A copy of a network with approximate layers that computes products or gradients differently; None keeps a choice.

    `mode` is the old name of `compute` and deprecated. Raises as `approximate` does.
    """
    if mode is not None:
        compute = compute_argument("", mode)
    if compute is not None:
        check_compute(compute)
    if backward is not None:
        check_backward(backward)
    result = _copy(model)
    for name, layer in approximate_layers(result).items():
        assert layer.design is not None
        chosen = backward or layer.backward
        computed_by = layer.computed_by(name, layer.design, compute=compute or layer.compute, backward=chosen)
        layer.use(layer.design, computed_by, chosen)
    return result


def _chosen_designs(
    model: nn.Module, design: Design | Mapping[str, Design], layers: str, filter: LayerFilter | None
) -> dict[str, Design]:
    """Layer name -> design for the layers to replace, each of which can be replaced; see `approximate`."""
    replaceable, obstacles = survey(model)
    if isinstance(design, Mapping):
        for name in design:
            if name in obstacles:
                raise DesignError(f"layer {name} cannot be replaced ({obstacles[name]}); leave it out.")
            if name not in replaceable:
                raise unknown_name("layer", name, replaceable)
        designs = dict(design)
    else:
        kinds = layer_kinds(layers)
        designs = {
            name: design
            for name, module in model.named_modules()
            if name in replaceable and isinstance(module, kinds) and (filter is None or filter(name, module))
        }
        quantised = {name for name in designs if isinstance(replaceable[name], ApproximateLayer)}
        if quantised and design.float_format is None:
            # What stayed float in a quantised network has no codes for an integer design.
            designs = {name: design for name in designs if name in quantised}
    if not designs:
        raise DesignError(
            f"the model must have a layer to replace, but layers={layers!r} and the filter leave none of its "
            f"{len(set(replaceable.values()))} Conv2d and Linear layers; choose other layers."
        )
    return designs


def _computed_by(layer: nn.Module, name: str, design: Design, *, compute: str, backward: str) -> ComputedBy:
    """What computes the products of a layer that is still exact; raises DesignError, naming the layer."""
    if isinstance(layer, (ApproximateConv2d, ApproximateLinear)):
        return layer.computed_by(name, design, compute=compute, backward=backward)
    return products_for(name, design, compute=compute, backward=backward)


def _replaced(layer: nn.Module) -> ApproximateConv2d | ApproximateLinear:
    """Turns a Conv2d or Linear into its approximate counterpart; a quantised layer is one already.

    The class is exchanged in place, so that parameters, hooks and modules that stand in several places are preserved.
    """
    # survey() admits plain Conv2d and Linear only, so that no subclass's own forward is lost.
    if not isinstance(layer, (ApproximateConv2d, ApproximateLinear)):
        layer.__class__ = ApproximateConv2d if isinstance(layer, nn.Conv2d) else ApproximateLinear
    assert isinstance(layer, (ApproximateConv2d, ApproximateLinear))
    return layer


def _copy(model: nn.Module) -> nn.Module:
    try:
        # deepcopy refuses tensors that are results of a computation, as weights under pruning are.
        return copy.deepcopy(model)
    except RuntimeError as error:
        raise DesignError(
            f"the model cannot be copied ({str(error).split('.')[0]}); make pruning or weight "
            "normalisation permanent first."
        ) from None
