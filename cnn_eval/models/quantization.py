"""DoReFa quantisation: weights and activations of a few bits, trained with straight-through gradients.

With n = 2^k - 1, a value r in [0, 1] is quantised to k bits by (equation 5)

    quantize_k(r) = round(n r) / n              its gradient is taken to be 1 (straight-through estimator)

weights of k > 1 bits by (equation 9)

    w_q = 2 quantize_k( tanh(w) / (2 max |tanh(w)|) + 1/2 ) - 1        in {-1, -1 + 2/n, ..., 1}

weights of 1 bit by w_q = sign(w) E(|w|), with the mean over the layer (section 2.2), and activations by
quantize_k(clip(a, 0, 1)) (equation 10 and section 2.3). Gradients are not quantised.

Source: Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
Bitwidth Gradients", arXiv 1606.06160.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Bfloat16", "QuantConv2d", "QuantLinear", "QuantReLU", "freeze_weights", "quantize_unit", "quantize_weight"]

MAX_BITS = 16
"""With more bits, float32 could not distinguish neighbouring levels of a weight."""


class _Round(torch.autograd.Function):
    """Rounds to the nearest integer, half to even; passes the gradient straight through."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: torch.Tensor) -> torch.Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def quantize_unit(values: torch.Tensor, bits: int) -> torch.Tensor:
    """The paper's `quantize_k`: rounds values in [0, 1] to the nearest of 2**bits evenly spaced levels from 0 to 1."""
    levels = (1 << bits) - 1
    rounded: torch.Tensor = _Round.apply(values * levels)  # type: ignore[no-untyped-call]
    return rounded / levels


def quantize_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Quantises weights to 2**bits evenly spaced levels from -1 to 1, which do not include 0.

    With one bit, the levels are plus and minus the mean magnitude.
    """
    if bits == 1:
        scale = weight.detach().abs().mean()
        # Forward: sign(w) * scale. Backward: the gradient of clip(w, -1, 1), straight through inside [-1, 1].
        clipped = weight.clamp(-1, 1)
        return clipped + (torch.where(weight >= 0, scale, -scale) - clipped).detach()
    bounded = weight.tanh()
    return 2 * quantize_unit(bounded / (2 * bounded.detach().abs().max()) + 0.5, bits) - 1


class QuantConv2d(nn.Conv2d):
    """A convolution whose weights, but not its bias, are quantised to `bits` on every use."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, padding: int = 0, bits: int) -> None:
        _check(bits)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        self.bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d`."""
        output: torch.Tensor = self._conv_forward(input, quantize_weight(self.weight, self.bits), self.bias)
        return output


class QuantLinear(nn.Linear):
    """A fully connected layer whose weights, but not its bias, are quantised to `bits` on every use."""

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
    """Computes `model` in torch's bfloat16 throughout, as DA section 7.2 does; images and logits are float32.

    Every operand and result of every layer is rounded to bfloat16, and torch chooses how it sums. In contrast, the
    design "bfloat16" in `approximate` is the multiplier alone: bit-accurate products of bfloat16 operands, added in
    float32.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to(torch.bfloat16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 logits."""
        output: torch.Tensor = self.model(images.to(torch.bfloat16)).float()
        return output


def freeze_weights(model: nn.Module) -> nn.Module:
    """A copy in its deployed form, with plain Conv2d and Linear layers that hold the quantised weights."""
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
