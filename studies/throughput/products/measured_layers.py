"""The layers whose speed is measured: shapes, operands, and how the engine and torch compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import Design, DesignError
from circuits.engine.float_operations import matmul
from circuits.engine.matrix_products.product_methods import choose_method
from circuits.engine.matrix_products.wide_matmul import run_wide
from circuits.engine.multiplier_circuit import code_dtype
from cnn_eval.data.loading import load
from cnn_eval.layers.convolution import Geometry, convolution_places, convolve
from cnn_eval.models.registry import load_model

Array = NDArray[Any]


@dataclass(frozen=True)
class MeasuredLayer:
    """A convolution or linear layer without bias: x [B, C, H, W] or [M, K], weight as torch's; float32."""

    name: str
    x: Array
    weight: Array
    geometry: Geometry | None = None

    @cached_property
    def products(self) -> int:
        """Products of the layer."""
        return int(self.torch_layer()().numel() * self.weight[0].size)

    def torch_layer(self) -> Callable[[], torch.Tensor]:
        """torch's own float32 layer, to be called on the threads that torch has then."""
        x, weight = torch.from_numpy(self.x), torch.from_numpy(self.weight)
        if self.geometry is None:
            return torch.no_grad()(partial(nn.functional.linear, x, weight))
        top, _, left, _ = self.geometry.padding
        stride, dilation, groups = self.geometry.stride, self.geometry.dilation, self.geometry.groups
        return torch.no_grad()(partial(nn.functional.conv2d, x, weight, None, stride, (top, left), dilation, groups))

    def engine_layer(self, design: Design, method: str, threads: int = 1) -> Callable[[], Array]:
        """The layer through the design by the given method. Integer designs: operands scaled to all of their codes."""
        x, weight = (self._operand(design, operand) for operand in (0, 1))
        if self.geometry is None:
            return partial(matmul, design, x, weight.T, method=method, threads=threads)
        return partial(convolve, design, x, weight, self.geometry, method=method, threads=threads)

    def wide_layer(self, design: Design, kernel: str) -> Callable[[], None]:
        """The convolution by a kernel of `wide_kernels.KERNELS`; "dense" multiplies zeros, too."""
        assert self.geometry is not None
        top, bottom, left, right = self.geometry.padding
        x = np.pad(self.x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        size = self.geometry.output((self.x.shape[2], self.x.shape[3]), (self.weight.shape[2], self.weight.shape[3]))
        out = np.empty((len(x), len(self.weight), *size), dtype=np.float32)
        places = convolution_places(x.shape, out.shape, self.weight.shape, self.geometry)
        rows = np.ascontiguousarray(self.weight.reshape(len(self.weight), -1))
        return partial(run_wide, design, x, rows, out, places, 1, kernel_name=kernel)

    def _operand(self, design: Design, operand: int) -> Array:
        values = (self.x, self.weight)[operand]
        if design.float_format is not None:
            return values
        dtype = code_dtype(design.shape[operand], design.signed)
        limits = np.iinfo(dtype)
        scaled = np.rint(values * (limits.max / np.abs(values).max()))
        codes: Array = scaled.clip(max(limits.min, -limits.max), limits.max).astype(dtype)
        return codes


def serving(design: Design, method: str) -> bool:
    """Whether the method exists and serves the design."""
    try:
        choose_method(design, method)
    except DesignError:
        return False
    return True


def _random(name: str, x: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry | None = None) -> MeasuredLayer:
    rng = np.random.default_rng(1)
    activations = np.maximum(rng.normal(size=x), 0).astype(np.float32)  # half of them zeros, as behind a ReLU
    return MeasuredLayer(name, activations, rng.normal(size=weight).astype(np.float32), geometry)


def narrow_format_layers(batch: int = 128) -> list[MeasuredLayer]:
    """The three layers of the targets for narrow formats; `batch`: that of LeNet-5's layer."""
    return [
        _random(f"LeNet-5 conv2, batch {batch}", (batch, 6, 12, 12), (16, 6, 5, 5), Geometry()),
        dense_convolution(),
        _random("linear 1024 -> 512, batch 64", (64, 1024), (512, 1024)),
    ]


def dense_convolution() -> MeasuredLayer:
    """The layer of 64 channels that stands for dense convolutions."""
    geometry = Geometry(padding=(1, 1, 1, 1))
    return _random("64 -> 64, 3x3, 16x16, batch 8", (8, 64, 16, 16), (64, 64, 3, 3), geometry)


def depthwise_layers() -> list[MeasuredLayer]:
    """Depthwise 3x3 convolutions: few large channels, many small ones."""
    return [
        _random(
            f"depthwise 3x3, {channels} channels {size}x{size}, batch 8",
            (8, channels, size, size),
            (channels, 1, 3, 3),
            Geometry(padding=(1, 1, 1, 1), groups=channels),
        )
        for channels, size in ((32, 56), (960, 7))
    ]


@lru_cache
def real_layer(
    network: str, title: str, layer: str, data: str, images: int, filters: int | None = None
) -> MeasuredLayer:
    """A layer of a committed network, or its first `filters`, with the activations that its images give it."""
    model = load_model(network)
    convolution = model.get_submodule(layer)
    assert isinstance(convolution, nn.Conv2d)
    inputs: list[torch.Tensor] = []
    hook = convolution.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        with torch.no_grad():
            model(load(data, "test").images[:images])
    finally:
        hook.remove()
    padding = convolution.padding
    assert isinstance(padding, tuple)
    geometry = Geometry(padding=(padding[0], padding[0], padding[1], padding[1]))
    x, weight = inputs[0].contiguous().numpy(), convolution.weight.detach().numpy()[:filters]
    return MeasuredLayer(f"{title} {layer}, batch {images}, real activations", x, weight, geometry)
