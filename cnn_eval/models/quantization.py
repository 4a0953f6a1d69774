"""DoReFa quantisation: weights and activations of few bits, trained with straight-through gradients.

Source: Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
Bitwidth Gradients", arXiv 1606.06160, equations 5, 9 and 10. Gradients are not quantised.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Bfloat16", "QuantConv2d", "QuantLinear", "QuantReLU", "freeze_weights", "quantize_unit", "quantize_weight"]

MAX_BITS = 16
"""Beyond, a float32 cannot tell the levels of a weight apart."""


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
    """A convolution whose weights are quantised to `bits` on every use; the bias is not."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, padding: int = 0, bits: int) -> None:
        _check(bits)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d`."""
        output: torch.Tensor = self._conv_forward(input, quantize_weight(self.weight, self.bits), self.bias)
        return output


class QuantLinear(nn.Linear):
    """A fully connected layer whose weights are quantised to `bits` on every use; the bias is not."""

    def __init__(self, in_features: int, out_features: int, *, bits: int) -> None:
        _check(bits)
        super().__init__(in_features, out_features)
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Linear`."""
        return functional.linear(input, quantize_weight(self.weight, self.bits), self.bias)


class QuantReLU(nn.Module):
    """ReLU clipped to [0, 1] and quantised to `bits` (section 2.3)."""

    def __init__(self, *, bits: int) -> None:
        _check(bits)
        super().__init__()
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return quantize_unit(input.clamp(0, 1), self.bits)


class Bfloat16(nn.Module):
    """`model` computed in torch's bfloat16 throughout, as DA section 7.2 does; images and logits are float32.

    Every operand and result of every layer is rounded to bfloat16, sums are as torch makes them. The design "bfloat16"
    in `approximate` is the multiplier alone: products of bfloat16 operands, gate by gate, added in float32.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to(torch.bfloat16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, float32."""
        output: torch.Tensor = self.model(images.to(torch.bfloat16)).float()
        return output


def freeze_weights(model: nn.Module) -> nn.Module:
    """A copy as it is deployed: plain Conv2d and Linear layers that hold the quantised weights. The same function."""
    frozen = copy.deepcopy(model)
    for layer in frozen.modules():
        if isinstance(layer, (QuantConv2d, QuantLinear)):
            with torch.no_grad():
                layer.weight.copy_(quantize_weight(layer.weight, layer.bits))
            del layer.bits
            layer.__class__ = nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Linear  # type: ignore[assignment]
    return frozen


def _check(bits: int) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"1 <= bits <= {MAX_BITS} must hold, but got {bits}; choose a number of bits in that range.")
