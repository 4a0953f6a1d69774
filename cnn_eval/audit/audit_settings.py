"""Settings of an audit: the budget, and how much effort each attack spends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from circuits.errors import unknown_name
from cnn_eval.attacks.shared.attack_modes import BallNorm
from cnn_eval.attacks.shared.budgets import default_budget
from cnn_eval.support.seeds import MAX_SEED


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Budget and effort of an audit; a verdict should rest on the default effort or more.

    `epsilon`: the budget in `norm` on [0, 1] pixels, by default that of `default_budget` for the images. `steps`: steps
    of PGD. `apgd_steps`: steps of APGD-CE, and of APGD-T for each target class. `queries`: queries of Square for an
    image. `minimum_steps`: steps of DDN; `deepfool_steps`: of DeepFool. `noise_draws`: random perturbations for each
    image. `decision_images`: number of images that HopSkipJump attacks, in `decision_steps` iterations each.
    """

    norm: BallNorm = "linf"
    epsilon: float | None = None
    steps: int = 40
    apgd_steps: int = 100
    queries: int = 5000
    minimum_steps: int = 300
    deepfool_steps: int = 50
    noise_draws: int = 20
    decision_images: int = 10
    decision_steps: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.norm not in get_args(BallNorm):
            raise unknown_name("norm", self.norm, get_args(BallNorm))
        if self.epsilon is not None and not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon must be a number above 0, but got {self.epsilon}; 0.1 is usual for linf.")
        counts = ("steps", "apgd_steps", "queries", "minimum_steps", "deepfool_steps", "noise_draws", "decision_steps")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but got {getattr(self, name)}; give more.")
        if self.decision_images < 0:
            raise ValueError(f"decision_images must be at least 0, but got {self.decision_images}; 0 leaves it out.")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be an integer from 0 to {MAX_SEED}, but got {self.seed}; choose another.")

    @property
    def budget(self) -> float:
        """`epsilon`, for settings that `with_budget` has completed."""
        assert self.epsilon is not None
        return self.epsilon

    def with_budget(self, image: Sequence[int]) -> AuditSettings:
        """These settings for images of shape `image`, [C, H, W]: `epsilon` given, or the default for such images."""
        if self.epsilon is not None:
            return self
        budget = default_budget(self.norm, image)
        assert budget is not None
        return replace(self, epsilon=budget.epsilon)
