"""The vocabulary of attacks: modes and norms. Free of torch, so that command lines can list them quickly."""

from __future__ import annotations

from typing import Literal

__all__ = ["BallNorm", "Mode", "Norm"]

Mode = Literal["minimum", "budget"]
"""*budget*: spend at most epsilon; *minimum*: find the smallest perturbation that fools."""
Norm = Literal["l0", "l2", "linf"]
"""How a perturbation is measured: number of changed values, Euclidean length, largest change."""
BallNorm = Literal["linf", "l2"]
"""The norms whose balls have a projection that gradient attacks can use."""
