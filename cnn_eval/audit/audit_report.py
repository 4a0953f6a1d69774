"""The results of an audit: checks, attacks, transfer, and the verdict in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from circuits.support.statistics import mcnemar, wilson
from cnn_eval.audit.verdict_rules import SIGNIFICANT, VERDICTS, is_brittle, verdict_of

Kind = Literal["control", "native gradient", "surrogate gradient", "gradient-free", "minimum norm", "transfer"]


@dataclass(frozen=True)
class Check:
    """The result of one check. `found`: what was measured, in words; `values`: the same as numbers.

    `passed` is None where there is no threshold; `why`: why the answer matters.
    """

    name: str
    passed: bool | None
    found: str
    threshold: str
    why: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AttackResult:
    """How many of the `eligible` images, which both networks classify correctly, an attack fools within the budget.

    `fooled_exact`: the same attack on the exact network through its own gradients; None where it was not run.
    """

    name: str
    kind: Kind
    gradient: str
    fooled: int
    eligible: int
    fooled_exact: int | None = None

    @property
    def rate(self) -> float:
        """Share of the eligible images."""
        return self.fooled / self.eligible

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return wilson(self.fooled, self.eligible)


@dataclass(frozen=True)
class TransferPair:
    """How many examples crafted on the exact network fool the subject.

    `minimum`: of `minimum_crafted` examples just past the exact network's decision boundary; `margin`: of
    `margin_crafted` examples further past it. Crafted are examples of eligible images that fool the exact network.
    """

    name: str
    minimum: int
    minimum_crafted: int
    margin: int
    margin_crafted: int
    destinations: Mapping[str, int] = field(default_factory=dict)
    """Of the minimum-norm ones: "same class" as the exact network's, "other class", "not fooled"."""

    @property
    def minimum_rate(self) -> float | None:
        """Share of the minimum-norm examples that fool the subject; None where none was crafted."""
        return self.minimum / self.minimum_crafted if self.minimum_crafted else None

    @property
    def margin_rate(self) -> float | None:
        """Share of the examples with a margin that fool the subject; None where none was crafted."""
        return self.margin / self.margin_crafted if self.margin_crafted else None

    @property
    def brittle(self) -> bool:
        """Whether a small margin makes examples transfer that otherwise do not."""
        return is_brittle(self.minimum_rate, self.margin_rate)


@dataclass(frozen=True)
class AuditReport:
    """An audit of one network against one budget; all counts are numbers of images.

    Of `images`, the subject classifies `right` correctly, the exact network `right_exact`, both `eligible`. `robust`,
    `robust_exact`: correctly classified images that no attack fooled; `gained` of them are robust in the subject alone,
    `lost` in the exact network alone. `native`, `surrogate`, `gradient_free`: eligible images fooled by the iterative
    attacks through native gradients, by the same attacks through the best surrogate, and by Square.
    """

    subject: str
    mode: str
    images: int
    eligible: int
    right: int
    right_exact: int
    checks: Sequence[Check]
    attacks: Sequence[AttackResult]
    transfers: Sequence[TransferPair]
    robust: int
    robust_exact: int
    gained: int
    lost: int
    native: int
    surrogate: int
    gradient_free: int
    seconds: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def p_value(self) -> float:
        """p of McNemar's exact test between the two networks' robust images."""
        return mcnemar(self.gained, self.lost)

    @property
    def verdict(self) -> str:
        """One of VERDICTS, by the rules of `verdict_rules`."""
        return verdict_of(
            hidden_points=100 * self._hidden / self.eligible,
            robust=self.robust,
            robust_exact=self.robust_exact,
            p_value=self.p_value,
            brittle=any(pair.brittle for pair in self.transfers),
        )

    @property
    def sentence(self) -> str:
        """The verdict and the numbers that it rests on."""
        norm, epsilon = self.settings["norm"], self.settings["epsilon"]
        accuracy = (
            f"{_percent(self.robust, self.images)} of images stay right under attack ({norm} {epsilon:g}), "
            f"{_percent(self.robust_exact, self.images)} in the exact network, p = {self.p_value:.2g}"
        )
        # No verdict of its own, because it is no claim that an audit is asked to confirm; but readers must see it.
        if self.robust < self.robust_exact and self.p_value < SIGNIFICANT:
            accuracy += "; it is less robust"
        if not self.robust and not self.robust_exact:
            accuracy += "; a budget that leaves neither network an image tells nothing apart: try a smaller one"
        masking, robust, brittle, _ = VERDICTS
        if self.verdict == masking:
            stronger = max(
                (self.surrogate, "the same attacks through a surrogate gradient"), (self.gradient_free, "Square")
            )
            return (
                f"gradient masking: attacks through the network's own gradients fool "
                f"{_percent(self.native, self.eligible)}, {stronger[1]} {_percent(stronger[0], self.eligible)}; "
                f"what the own gradients show is no robustness ({accuracy})."
            )
        if self.verdict == robust:
            return f"robust: under all attacks, worst case for each image, {accuracy}."
        if self.verdict == brittle:
            pair = next(pair for pair in self.transfers if pair.brittle)
            return (
                "brittle transfer only: of examples just past the exact network's boundary "
                f"{_percent(pair.minimum, pair.minimum_crafted)} fool it too, with a small margin "
                f"{_percent(pair.margin, pair.margin_crafted)} ({pair.name}); attacked itself it is not more robust: "
                f"{accuracy}."
            )
        return f"not more robust: {accuracy}."

    @property
    def _hidden(self) -> int:
        """Number of eligible images by which the native gradient falls behind the strongest other attack."""
        return max(self.surrogate, self.gradient_free) - self.native

    def to_dict(self) -> dict[str, Any]:
        """The whole report, ready for JSON."""
        record = asdict(self)
        for item, attack in zip(record["attacks"], self.attacks, strict=True):
            item |= {"rate": attack.rate, "interval": list(attack.interval)}
        for item, pair in zip(record["transfers"], self.transfers, strict=True):
            item |= {"minimum_rate": pair.minimum_rate, "margin_rate": pair.margin_rate, "brittle": pair.brittle}
        shares = {
            "robust_accuracy": self.robust / self.images,
            "robust_accuracy_exact": self.robust_exact / self.images,
            "p_value": self.p_value,
        }
        return {"verdict": self.verdict, "sentence": self.sentence, **record, **shares}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"
