"""Layers and operands that the tests of layers and of their gradients draw from."""

from __future__ import annotations

import numpy as np
import torch
from bit_equality import same_bits
from corner_values import CORNERS
from hypothesis import strategies as st
from lopsided import LOPSIDED_ARRAY
from torch import nn

from circuits import design

DESIGNS = (design("axfpm_tiled"), LOPSIDED_ARRAY, design("heap"), design("exact"))


def same(one: torch.Tensor | np.ndarray, other: torch.Tensor | np.ndarray) -> bool:
    """Equal bit for bit, any NaN equal to any NaN."""
    a, b = (np.asarray(t.detach() if isinstance(t, torch.Tensor) else t) for t in (one, other))
    assert a.dtype == np.float32
    return same_bits(a, b)


def values(shape: tuple[int, ...], seed: int, *, corners: bool = False) -> torch.Tensor:
    """Random float32 values of both signs; with `corners` a fifth of them is drawn from CORNERS."""
    rng = np.random.default_rng(seed)
    drawn = (rng.standard_normal(shape) * np.exp(rng.standard_normal(shape))).astype(np.float32)
    if corners:
        drawn = np.where(rng.random(shape) < 0.2, rng.choice(CORNERS, shape), drawn)
    return torch.from_numpy(np.ascontiguousarray(drawn))


def conv(seed: int = 0, *, corners: bool = False, **arguments: object) -> nn.Conv2d:
    """A convolution with random weights; `arguments` are those of nn.Conv2d."""
    options: dict[str, object] = {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "bias": False, **arguments}
    layer = nn.Conv2d(**options)  # type: ignore[arg-type]
    layer.weight = nn.Parameter(values(tuple(layer.weight.shape), seed, corners=corners))
    return layer


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Conv2d, tuple[int, int, int, int]]:
    """A convolution and the shape of images that it takes."""
    groups = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.one_of(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.sampled_from(["same", "valid"])))
    if padding == "same":
        stride = (1, 1)
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    layer = conv(
        draw(st.integers(0, 99)),
        corners=draw(st.booleans()),
        in_channels=groups * draw(st.integers(1, 2)),
        out_channels=groups * draw(st.integers(1, 2)),
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
    )
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    # Reflection needs an image larger than its padding: 5 suffices for all drawn here ("same" adds at most 2 a side).
    size = [max(span, 5 if mode != "zeros" else 1) + draw(st.integers(0, 2)) for span in spans]
    return layer, (draw(st.integers(1, 2)), layer.in_channels, *size)
