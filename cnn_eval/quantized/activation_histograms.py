"""Histograms of the inputs of a network's layers on images, in bounded memory: two runs, the first for the ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from circuits import DesignError
from cnn_eval.models.inference import evaluation_mode
from cnn_eval.quantized.calibration import Observed

__all__ = ["observed_inputs", "run_in_batches", "watching_inputs"]

_BINS = 1 << 16
"""A bin is 1/256 of a step of 8-bit codes wide."""
_BATCH = 100


def observed_inputs(model: nn.Module, layers: Mapping[str, nn.Module], images: torch.Tensor) -> dict[str, Observed]:
    """Layer name -> what the layer's input holds on all images; layers that do not run are left out.

    Raises DesignError, naming the layer, for values that are not finite.
    """
    ends: dict[str, tuple[float, float]] = {}

    def note_ends(name: str, x: torch.Tensor) -> None:
        low, high = map(float, torch.aminmax(x))
        if not abs(low) < torch.inf or not abs(high) < torch.inf:
            raise DesignError(
                f"calibration images must give finite values, but layer {name} gets nan or inf; check images and "
                "weights."
            )
        known = ends.get(name, (low, high))
        ends[name] = (min(low, known[0]), max(high, known[1]))

    with watching_inputs(layers, note_ends):
        run_in_batches(model, images)
    counts = {name: torch.zeros(_BINS, dtype=torch.float64) for name in ends}

    def count(name: str, x: torch.Tensor) -> None:
        low, high = ends[name]
        if low < high:
            counts[name] += torch.histc(x, _BINS, low, high).cpu()
        else:
            counts[name][0] += x.numel()

    with watching_inputs(layers, count):
        run_in_batches(model, images)
    return {name: _observed(ends[name], counts[name]) for name in ends}


def _observed(ends: tuple[float, float], counts: torch.Tensor) -> Observed:
    low, high = ends
    edges = torch.linspace(low, high, _BINS + 1, dtype=torch.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    # Nothing lies beyond the ends, which min-max calibration must find exactly, and many values are exactly 0.
    centres[0], centres[-1] = low, high
    used = counts > 0
    used[0] = used[-1] = True
    return Observed(centres[used].float()[None], counts[used], weights=False)


@contextmanager
def watching_inputs(layers: Mapping[str, nn.Module], see: Callable[[str, torch.Tensor], None]) -> Iterator[None]:
    """Calls see(name, x) with every input x that a layer gets."""
    with ExitStack() as stack:
        for name, layer in layers.items():

            def hook(module: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
                see(name, inputs[0].detach())

            stack.callback(layer.register_forward_pre_hook(hook).remove)
        yield


def run_in_batches(model: nn.Module, images: torch.Tensor) -> None:
    """Runs the network on images for the sake of its hooks, in evaluation mode and without gradients."""
    with evaluation_mode(model), torch.no_grad():
        for batch in torch.split(images, _BATCH):
            model(batch)
