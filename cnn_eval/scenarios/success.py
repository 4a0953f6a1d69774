"""What came of an attack: who counts, who was fooled and as what, and how much noise it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from circuits.support.statistics import mcnemar, wilson
from cnn_eval.attacks import distances
from cnn_eval.data.image_checks import check_images
from cnn_eval.models.inference import predict

__all__ = ["NOISE", "Outcome", "Paired", "judge", "noise", "paired"]

NOISE = ("l0", "l2", "linf", "mse", "psnr")
"""Measures of noise; psnr in dB for pixels in [0, 1]."""


@dataclass(frozen=True)
class Outcome:
    """`eligible`: the samples that count, bool [N]; `same_wrong`, `other_wrong`: those of them that the victim takes
    for the source's wrong class, or for another wrong one, bool [N] each; `noise`: see `noise`.
    """

    eligible: torch.Tensor
    same_wrong: torch.Tensor
    other_wrong: torch.Tensor
    noise: Mapping[str, torch.Tensor]

    @property
    def success(self) -> torch.Tensor:
        """Which eligible samples fool the victim, bool [N]."""
        return self.same_wrong | self.other_wrong

    @property
    def fooled(self) -> int:
        """How many eligible samples fool the victim."""
        return int(self.success.sum())

    @property
    def rate(self) -> float | None:
        """Share of eligible samples that fool the victim; None where none is eligible."""
        count = int(self.eligible.sum())
        return self.fooled / count if count else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return wilson(self.fooled, int(self.eligible.sum()))

    def median_noise(self, name: str) -> float | None:
        """Median over the successful samples; None where there is none."""
        values = self.noise[name][self.success]
        return float(values.median()) if len(values) else None

    def mean_noise(self, name: str) -> float | None:
        """Mean over the successful samples; None where there is none."""
        values = self.noise[name][self.success]
        return float(values.double().mean()) if len(values) else None


@dataclass(frozen=True)
class Paired:
    """Two networks on the `samples` that are eligible for both: how many fool `only_one`, and how many `only_other`."""

    samples: int
    only_one: int
    only_other: int

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test: two-sided, each network equally likely to be fooled where they differ."""
        return mcnemar(self.only_one, self.only_other)


def paired(one: Outcome, other: Outcome) -> Paired:
    """The same attack on two networks, sample by sample; both outcomes are of the same samples in the same order."""
    both = one.eligible & other.eligible
    return Paired(
        int(both.sum()),
        int((both & one.success & ~other.success).sum()),
        int((both & other.success & ~one.success).sum()),
    )


def noise(clean: torch.Tensor, adversarial: torch.Tensor) -> dict[str, torch.Tensor]:
    """By name in NOISE, float32 [N]: changed values, Euclidean length, largest change, mean squared error, peak signal
    to noise ratio in dB, 20 log10(1 / sqrt(MSE)); infinite where nothing changed. Raises ValueError where pixels leave
    [0, 1], to which PSNR refers."""
    check_images(clean)
    check_images(adversarial)
    mse = (adversarial - clean).flatten(1).square().mean(1)
    return {
        "l0": distances(clean, adversarial, "l0"),
        "l2": distances(clean, adversarial, "l2"),
        "linf": distances(clean, adversarial, "linf"),
        "mse": mse,
        "psnr": -10 * mse.log10(),
    }


def judge(
    victim: nn.Module,
    clean: torch.Tensor,
    adversarial: torch.Tensor,
    labels: torch.Tensor,
    *,
    source_clean: torch.Tensor,
    source_adversarial: torch.Tensor,
    victim_clean: torch.Tensor | None = None,
) -> Outcome:
    """Of samples that both networks classify rightly and that fool the source: which fool the victim, and how.

    `source_clean`, `source_adversarial`: the classes that the source says, int64 [N]; `victim_clean`: those of the
    victim, where they are known already.
    """
    own = predict(victim, clean) if victim_clean is None else victim_clean
    eligible = (source_clean == labels) & (own == labels) & (source_adversarial != labels)
    found = predict(victim, adversarial)
    wrong = eligible & (found != labels)
    same = wrong & (found == source_adversarial)
    return Outcome(eligible, same, wrong & ~same, noise(clean, adversarial))
