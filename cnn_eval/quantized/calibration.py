"""Which real values the least and the greatest code stand for, from the values that a layer sees.

A calibration is a function of `Observed` values that returns (low, high), one pair for each row; to add one, write it
here and add a line to CALIBRATIONS. Activations are one row, the weights of each output channel another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from circuits.errors import unknown_name
from cnn_eval.quantized.schemes.scheme import Scheme

__all__ = ["CALIBRATIONS", "Observed", "check_calibration", "grid_for"]

Tensor = torch.Tensor
PERCENTILE = 99.9
"""Per cent of the activations' magnitudes, or of the values from either end, that the codes cover."""
_FACTORS = torch.linspace(0.2, 1.0, 81)
"""Parts of the full range that `least_squares` tries."""


@dataclass(frozen=True)
class Observed:
    """`values` float32 [rows, V] and how often each of them occurs, float64 [V]; `weights` tells weights from
    activations."""

    values: Tensor
    counts: Tensor
    weights: bool

    def ends(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest value of each row."""
        return self.values.amin(1), self.values.amax(1)


def check_calibration(name: str) -> None:
    """Raises UnknownNameError unless `name` is a calibration."""
    if name not in CALIBRATIONS:
        raise unknown_name("calibration", name, CALIBRATIONS)


def grid_for(observed: Observed, scheme: Scheme, bits: int, calibration: str) -> tuple[Tensor, Tensor]:
    """(scale float32, zero point int32), [rows], for codes of `bits` bits."""
    low, high = CALIBRATIONS[calibration](observed, scheme, bits)
    return scheme.scales(low, high, bits)


def _minmax(observed: Observed, scheme: Scheme, bits: int) -> tuple[Tensor, Tensor]:
    return observed.ends()


def _percentile(observed: Observed, scheme: Scheme, bits: int) -> tuple[Tensor, Tensor]:
    """PERCENTILE of the activations; all weights, of which a channel has few and the largest matter most."""
    if observed.weights:
        return observed.ends()
    values = observed.values[0]
    if not scheme.affine:
        magnitude = _quantile(values.abs(), observed.counts, PERCENTILE / 100)
        low, high = -magnitude, magnitude
    else:
        low = _quantile(values, observed.counts, 1 - PERCENTILE / 100)
        high = _quantile(values, observed.counts, PERCENTILE / 100)
    if float(low) == float(high) == 0:  # nearly all are zero
        return observed.ends()
    return low[None], high[None]


def _quantile(values: Tensor, counts: Tensor, share: float) -> Tensor:
    """The least value that at least `share` of all do not exceed."""
    ascending, order = values.sort()
    reached = counts[order].cumsum(0)
    place = int(torch.searchsorted(reached, share * float(reached[-1])))
    return ascending[min(place, len(ascending) - 1)]


def _least_squares(observed: Observed, scheme: Scheme, bits: int) -> tuple[Tensor, Tensor]:
    """The part of the full range with the least sum of squared errors, rounding and clamping together."""
    low, high = observed.ends()
    codes = scheme.codes(bits)
    best = torch.full_like(low, torch.inf, dtype=torch.float64)
    factor_of = torch.ones_like(low)
    for factor in _FACTORS.flip(0):  # the full range first, which ties keep
        scale, zero = (each[:, None] for each in scheme.scales(low * factor, high * factor, bits))
        rounded = (torch.round(observed.values / scale) + zero).clamp_(*codes)
        errors = ((rounded - zero) * scale - observed.values).double().square() @ observed.counts
        better = errors < best
        best = torch.where(better, errors, best)
        factor_of = torch.where(better, factor, factor_of)
    return low * factor_of, high * factor_of


CALIBRATIONS: Mapping[str, Callable[[Observed, Scheme, int], tuple[Tensor, Tensor]]] = MappingProxyType(
    {"percentile": _percentile, "minmax": _minmax, "least_squares": _least_squares}
)
"""Name -> (low, high) of observed values, [rows] each."""
