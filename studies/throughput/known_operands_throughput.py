"""Measures what is gained by leaving zero activations out and by gates for known weights, on recorded activations."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from circuits import Design, design
from circuits.engine.known_operands.wide_kernels import KERNELS
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.wide_matmul import run_wide
from cnn_eval.data.loading import load
from cnn_eval.models.registry import load_model
from studies.frame.study import Row

_FILTERS = 48  # of AlexNet's 160, which all cost the same
_LAYERS = {
    "LeNet-5 conv2, batch 128, its own activations": ("lenet5", "mnist", 1, 128),
    f"AlexNet conv3, batch 64, {_FILTERS} filters, its own activations": ("alexnet", "cifar10", 2, 64),
}


def rows(rounds: int) -> list[Row]:
    """Products per second where everything is multiplied, and the gains over that, for each layer and design."""
    cells = np.random.default_rng(0).choice(["exact", "ama1", "ama2", "ama3", "ama4"], 48)
    mixed = Design(topology="ripple_array", placement={"columns": cells.tolist()}, name="random ripple array")
    measured = []
    for subject, recorded in _LAYERS.items():
        x, w, places = _recorded_layer(*recorded)
        zeros = float((x == 0).mean())
        measured.append(Row(subject, "activations that are zero, padding included", zeros, unit="share"))
        for circuit in (design("heap"), design("axfpm_tiled"), design("ama1_array"), mixed):
            out = np.empty((places.rows, len(w)), dtype=np.float32)
            fastest = dict.fromkeys(KERNELS, float("inf"))
            for counted in range(-1, rounds):  # round -1 compiles
                for name in KERNELS:
                    action = partial(run_wide, circuit, x, w, out, places, 1, kernel_name=name)
                    start = time.thread_time()
                    action()
                    if counted >= 0:
                        fastest[name] = min(fastest[name], time.thread_time() - start)
            products = out.size * places.depth
            label = circuit.label
            dense = fastest["dense"]
            measured.append(Row(subject, f"{label}, everything multiplied", products / dense, unit="products/s"))
            measured.append(Row(subject, f"{label}, zeros left out", dense / fastest["sparse"], unit="speed ratio"))
            measured.append(Row(subject, f"{label}, and known weights", dense / fastest["staged"], unit="speed ratio"))
    return measured


def _recorded_layer(
    model: str, data: str, number: int, images: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], Places]:
    """The padded input [B, C, H, W], weights [N, K] and places of a convolution of stride 1 in a trained network."""
    network = load_model(model).eval()
    layer = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][number]
    inputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, arguments, __: inputs.append(arguments[0].detach()))
    with torch.no_grad():
        network(load(data).images[:images])
    hook.remove()
    across, down = (int(side) for side in layer.padding)
    padded = torch.nn.functional.pad(inputs[0], (down, down, across, across)).contiguous().numpy()
    weights = layer.weight.detach()[:_FILTERS].flatten(1).contiguous().numpy()
    numbers = np.arange(padded.size, dtype=np.int64).reshape(padded.shape)
    kernel = tuple(layer.kernel_size)
    height, width = (size - side + 1 for size, side in zip(padded.shape[2:], kernel, strict=True))
    x_at = numbers[:, 0, :height, :width].ravel()
    x_step = numbers[0, :, : kernel[0], : kernel[1]].ravel()
    return padded, weights, Places(x_at, x_step, np.arange(len(x_at)) * len(weights), 1)
