"""Quantised networks in safetensors files: codes, scales and what else the layers hold, with a description as JSON.

A file holds the network's state_dict in which the weight of a quantised layer is replaced by NAME.weight_codes, in the
smallest integer type that holds its codes. The metadata's entry `quantized` describes, as JSON, the scheme, widths and
accumulator of each layer, the batch normalisations that were folded, and what stayed float.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import nn

from circuits import DesignError
from circuits.support.documents import parse_json
from circuits.support.files import open_file
from cnn_eval.quantized.accumulators import Accumulator
from cnn_eval.quantized.folding import replace_module
from cnn_eval.quantized.quantized_layers import (
    GRID_BUFFERS,
    QuantizedConv2d,
    QuantizedLayer,
    QuantizedLinear,
    layers_of_integers,
    make_quantized,
)
from cnn_eval.quantized.schemes import SCHEMES
from cnn_eval.support.tensor_files import MAX_FILE_BYTES
from cnn_eval.support.verified_files import DataError, write_atomically

__all__ = ["is_quantized_file", "load_quantized", "save_quantized"]

_KEY = "quantized"
_CODES = "weight_codes"
_ADVICE = "write it with cnn_eval.save_quantized"
Tensor = torch.Tensor


def save_quantized(network: nn.Module, path: Path | str) -> None:
    """Writes a network made by `quantize` as a .safetensors file, atomically.

    Designs are not part of the file; gains and biases of `recover` are, for the designs that they were made with. Of a
    layer with two schemes ("auto") the one in use is written. Raises DesignError for a network that is not quantised.
    """
    layers = layers_of_integers(network)
    if not layers:
        raise DesignError("the network to save must be quantised, but has no quantised layer; make it with quantize.")
    if Path(path).suffix != ".safetensors":
        raise DesignError(f"a quantised network must be saved as .safetensors, but got {path}; rename it.")
    tensors = {key: tensor.detach().contiguous().clone() for key, tensor in network.state_dict().items()}
    for name, layer in layers.items():
        del tensors[f"{name}.weight"]
        tensors[f"{name}.{_CODES}"] = layer.weight_codes.to(_code_type(layer)).contiguous()
    description = {
        "layers": {name: _describe(layer) for name, layer in layers.items()},
        "folded": list(getattr(network, "folded", [])),
        "kept_float": dict(getattr(network, "kept_float", {})),
    }
    write_atomically(Path(path), save_safetensors(tensors, {_KEY: json.dumps(description)}))


def is_quantized_file(path: Path | str) -> bool:
    """Whether `path` is a file that `save_quantized` wrote; False for files that are missing or damaged."""
    try:
        # Opened first, because safetensors would wait for the writer of a FIFO.
        with open_file(path, limit=MAX_FILE_BYTES, error=DataError), safe_open(path, framework="pt") as stream:
            return _KEY in (stream.metadata() or {})
    except (OSError, SafetensorError, DataError):
        return False


def load_quantized(model: nn.Module, path: Path | str) -> nn.Module:
    """The quantised network in `path`, in evaluation mode with exact products.

    `model`: the float network that was quantised, or one of the same class with any weights; it is left unchanged.
    Raises DataError, naming what does not fit.
    """
    tensors, description = _read(Path(path))
    result: Any = copy.deepcopy(model).eval()
    modules = dict(result.named_modules())
    try:
        for name in description["folded"]:
            # The statistics and factors of what was folded are in the layer before it, which has a bias now.
            replace_module(result, name, nn.Identity())
        for name, layer in description["layers"].items():
            _rebuild(modules[name], name, layer, tensors)
        result.load_state_dict(tensors)
    except (KeyError, AttributeError, TypeError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} must hold the quantised tensors of the model, but does not fit it ({reason}); name its model."
        ) from None
    result.folded, result.kept_float = list(description["folded"]), dict(description["kept_float"])
    network: nn.Module = result
    return network


def _rebuild(layer: nn.Module, name: str, description: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Makes a float layer the quantised one that the file describes, and the codes among `tensors` weights."""
    assert type(layer) in (nn.Conv2d, nn.Linear), f"{name} is a {type(layer).__name__}"
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    scheme, bits = description["scheme"], tuple(description["bits"])
    assert scheme in SCHEMES, f"{name} has the scheme {scheme!r}"
    if f"{name}.bias" in tensors and layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
    accumulator = Accumulator(**description["accumulator"]) if description["accumulator"] else None
    grids = {buffer: tensors[f"{name}.{buffer}"] for buffer in GRID_BUFFERS}
    make_quantized(layer, scheme, grids, bits=(bits[0], bits[1]), accumulator=accumulator)
    assert isinstance(layer, (QuantizedConv2d, QuantizedLinear))
    codes, grid = tensors.pop(f"{name}.{_CODES}").to(torch.float32), layer.weight_grid
    # (q - z) s is rounded to the code q again: its quotient by s is within a rounding error of the integer q - z.
    tensors[f"{name}.weight"] = (codes - grid.along(grid.zero, codes)) * grid.along(grid.scale, codes)


def _describe(layer: QuantizedLayer) -> dict[str, Any]:
    accumulator = layer.accumulator
    limited = None if accumulator is None else {"bits": accumulator.bits, "overflow": accumulator.overflow}
    return {"scheme": layer.scheme, "bits": list(layer.bits), "accumulator": limited}


def _code_type(layer: QuantizedLayer) -> torch.dtype:
    low, high = layer.code_scheme.codes(layer.bits[1])
    # safetensors has no uint16 in torch's older versions; int32 holds what is left.
    return next(
        dtype
        for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32)
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with (
            open_file(path, limit=MAX_FILE_BYTES, error=DataError, advice=_ADVICE),
            safe_open(path, framework="pt") as stream,
        ):
            metadata = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118  # no iterator of its own
        description = parse_json(metadata[_KEY], str(path))
        if not {"layers", "folded", "kept_float"} <= description.keys():
            raise KeyError
    except DataError:
        raise
    except (SafetensorError, KeyError, ValueError, AttributeError):
        raise DataError(f"{path} must hold a quantised network, but is another file or damaged; {_ADVICE}.") from None
    return tensors, description
