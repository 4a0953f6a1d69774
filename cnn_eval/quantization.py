"""DoReFa quantisation: weights and activations of few bits, trained with straight-through gradients.

Source: Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
Bitwidth Gradients", arXiv 1606.06160, equations 5, 9 and 10. Gradients are not quantised.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["QuantConv2d", "QuantLinear", "QuantReLU", "check_bits", "quantize_unit", "quantize_weight"]

MAX_BITS = 16
"""Beyond, a float32 cannot tell the levels of a weight apart."""


def check_bits(bits: int | None) -> None:
    """ValueError unless `bits` is from 1 to 16, or None for no quantisation."""
    if bits is not None and not 1 <= bits <= MAX_BITS:
        raise ValueError(f"1 <= bits <= {MAX_BITS} must hold, but got {bits}; choose a number of bits in that range.")


class _Round(torch.autograd.Function):
    """Rounding to the nearest integer, half to even; its gradient is passed straight through (equation 5)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: torch.Tensor) -> torch.Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def quantize_unit(values: torch.Tensor, bits: int) -> torch.Tensor:
    """`quantize_k` of the paper: values in [0, 1] to the nearest of 2**bits evenly spaced levels from 0 to 1."""
    levels = (1 << bits) - 1
    rounded: torch.Tensor = _Round.apply(values * levels)  # type: ignore[no-untyped-call]
    return rounded / levels


def quantize_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Weights to 2**bits evenly spaced levels from -1 to 1 (equation 9), through tanh; 0 is not among them.

    With one bit, the sign times the mean magnitude (section 2.2).
    """
    if bits == 1:
        scale = weight.detach().abs().mean()
        clipped = weight.clamp(-1, 1)
        return clipped + (torch.where(weight >= 0, scale, -scale) - clipped).detach()
    squeezed = weight.tanh()
    return 2 * quantize_unit(squeezed / (2 * squeezed.detach().abs().max()) + 0.5, bits) - 1


class QuantConv2d(nn.Conv2d):
    """A convolution whose weights are quantised to `bits` on every use (None: not at all); the bias is not."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, padding: int = 0, bits: int | None
    ) -> None:
        check_bits(bits)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d`."""
        weight = self.weight if self.bits is None else quantize_weight(self.weight, self.bits)
        output: torch.Tensor = self._conv_forward(input, weight, self.bias)
        return output


class QuantLinear(nn.Linear):
    """A fully connected layer whose weights are quantised to `bits` on every use (None: not at all)."""

    def __init__(self, in_features: int, out_features: int, *, bits: int | None) -> None:
        check_bits(bits)
        super().__init__(in_features, out_features)
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Linear`."""
        weight = self.weight if self.bits is None else quantize_weight(self.weight, self.bits)
        return functional.linear(input, weight, self.bias)


class QuantReLU(nn.Module):
    """ReLU clipped to [0, 1] and quantised to `bits` (section 2.3); with None a plain ReLU."""

    def __init__(self, *, bits: int | None) -> None:
        check_bits(bits)
        super().__init__()
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return functional.relu(input) if self.bits is None else quantize_unit(input.clamp(0, 1), self.bits)
