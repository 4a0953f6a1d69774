"""Evenly spaced codes for real values, and how they are rounded to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from circuits import DesignError

__all__ = ["Grid", "NotANumberError"]

Tensor = torch.Tensor


class NotANumberError(DesignError):
    """Values to quantise are NaN, which no code stands for."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The codes low .. high, of which q stands for the real value (q - zero) scale.

    `scale` float32 and `zero` int32: [] for a tensor, [N] for one pair for each output channel, the first axis. Codes
    are integers; here they travel as float32, which holds up to 24 bits exactly.
    """

    scale: Tensor
    zero: Tensor
    low: int
    high: int

    def codes(self, values: Tensor) -> Tensor:
        """clamp(round_half_even(x / scale) + zero, low, high), float32 [like x]. Raises NotANumberError."""
        return self._unclamped(values).clamp_(self.low, self.high)

    def centred(self, values: Tensor) -> Tensor:
        """The codes less the zero point, float32."""
        codes = self.codes(values)
        return codes.sub_(self.along(self.zero, values)) if bool(self.zero.any()) else codes

    def inside(self, values: Tensor) -> Tensor:
        """Which values are rounded and not clamped, bool: there the straight-through gradient passes."""
        unclamped = self._unclamped(values)
        return (unclamped >= self.low) & (unclamped <= self.high)

    def along(self, numbers: Tensor, values: Tensor) -> Tensor:
        """`numbers` ([] or [N]) with the axes that make them broadcast against `values` [N, ...]."""
        return numbers.reshape(-1, *[1] * (values.dim() - 1)) if numbers.dim() else numbers

    def _unclamped(self, values: Tensor) -> Tensor:
        values = values.detach()
        # A sum is NaN wherever a value is, and costs less than a test of every value.
        if bool(values.sum().isnan()) and bool(values.isnan().any()):
            raise NotANumberError(
                "values to quantise must be numbers, but some are NaN; check the weights and the images."
            )
        return torch.div(values, self.along(self.scale, values)).round_().add_(self.along(self.zero, values))
