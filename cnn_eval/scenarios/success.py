"""The outcome of an attack: which samples count, which were fooled and as what, and how much noise it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from circuits.support.statistics import mcnemar, wilson
from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.data.image_checks import check_images
from cnn_eval.models.inference import predict

__all__ = ["NOISE", "Outcome", "Paired", "judge", "noise", "paired"]

NOISE = ("l0", "l2", "linf", "mse", "psnr")
"""Measures of noise; psnr in dB for pixels in [0, 1]."""


@dataclass(frozen=True)
class Outcome:
    """The outcome on one victim, sample by sample.

    `eligible`: the samples that count, bool [N]. `same_wrong`, `other_wrong`: those of them that the victim classifies
    as the source's wrong class, or as another wrong one, bool [N] each. `noise`: see the function `noise`.
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
        """Number of eligible samples that fool the victim."""
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
        """Median of the noise `name` over the successful samples; None where there is none."""
        values = self.noise[name][self.success]
        return float(values.median()) if len(values) else None

    def mean_noise(self, name: str) -> float | None:
        """Mean of the noise `name` over the successful samples; None where there is none."""
        values = self.noise[name][self.success]
        return float(values.double().mean()) if len(values) else None


@dataclass(frozen=True)
class Paired:
    """Two networks on the `samples` that are eligible for both: how many fool only the one, how many only the other.

    Both networks see the same samples, so their rates are not independent; the test is McNemar's. Samples that fool
    both or neither say nothing about a difference. Of the n = only_one + only_other that are left, only_one is
    binomial (n, 1/2) if the networks are equally easy to fool.
    """

    samples: int
    only_one: int
    only_other: int

    @property
    def p_value(self) -> float:
        """p of McNemar's exact test, two-sided."""
        return mcnemar(self.only_one, self.only_other)


def paired(one: Outcome, other: Outcome) -> Paired:
    """Compares the same attack on two networks; both outcomes must be of the same samples in the same order."""
    both = one.eligible & other.eligible
    return Paired(
        int(both.sum()),
        int((both & one.success & ~other.success).sum()),
        int((both & other.success & ~one.success).sum()),
    )


def noise(clean: torch.Tensor, adversarial: torch.Tensor) -> dict[str, torch.Tensor]:
    """The noise of each sample by its name in NOISE, float32 [N] each.

    l0: number of changed values. l2: Euclidean length. linf: largest change. mse: mean squared error. psnr: peak signal
    to noise ratio in dB, 20 log10(1 / sqrt(MSE)) = -10 log10(MSE), infinite where nothing changed. Raises ValueError
    where pixels leave [0, 1], the range that PSNR refers to.
    """
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
    """Which samples fool the victim, of those that both networks classify correctly and that fool the source.

    `source_clean`, `source_adversarial`: the source's classes of the clean and the adversarial images, int64 [N];
    `victim_clean`: the victim's classes of the clean images, where they are known already.
    """
    if victim_clean is None:
        victim_clean = predict(victim, clean)
    eligible = (source_clean == labels) & (victim_clean == labels) & (source_adversarial != labels)
    victim_adversarial = predict(victim, adversarial)
    wrong = eligible & (victim_adversarial != labels)
    same = wrong & (victim_adversarial == source_adversarial)
    return Outcome(eligible, same, wrong & ~same, noise(clean, adversarial))
