"""What an audit finds, and the rules that make a verdict of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from circuits.support.statistics import mcnemar, wilson

VERDICTS = ("gradient masking", "robust", "brittle transfer only", "not more robust")
"""In the order in which they are tried."""
MASKING_POINTS = 10.0
"""Percentage points by which native gradients must fall behind."""
TRANSFERS = 0.90
"""Transfer rate below which minimum-norm examples count as brittle, and which margin examples must reach."""
SIGNIFICANT = 0.05

Kind = Literal["control", "native gradient", "surrogate gradient", "gradient-free", "minimum norm", "transfer"]


@dataclass(frozen=True)
class Check:
    """One question of an audit. `passed` is None where there is no threshold; `why`: what hangs on it."""

    name: str
    passed: bool | None
    found: str
    threshold: str
    why: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AttackResult:
    """How many of the `eligible` images, those that both networks classify rightly, an attack fools within the budget.

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
    """Examples crafted on the exact network, just past its decision boundary (`minimum`) and further (`margin`), and
    how many of each fool the subject; `crafted`: examples that fool the exact network, of eligible images."""

    name: str
    minimum: int
    minimum_crafted: int
    margin: int
    margin_crafted: int
    destinations: Mapping[str, int] = field(default_factory=dict)
    """Of the minimum-norm ones: "same class" as the exact network's, "other class", "not fooled"."""

    @property
    def minimum_rate(self) -> float | None:
        """None where nothing was crafted."""
        return self.minimum / self.minimum_crafted if self.minimum_crafted else None

    @property
    def margin_rate(self) -> float | None:
        """None where nothing was crafted."""
        return self.margin / self.margin_crafted if self.margin_crafted else None

    @property
    def brittle(self) -> bool:
        """Whether a small margin makes examples transfer that otherwise do not."""
        low, high = self.minimum_rate, self.margin_rate
        return low is not None and high is not None and low < TRANSFERS <= high


@dataclass(frozen=True)
class AuditReport:
    """An audit of one network against one budget.

    `images` were looked at, `right` and `right_exact` of them classified rightly, `eligible` by both. `robust` and
    `robust_exact`: images classified rightly that no attack fooled; `gained` are robust here and not in the exact
    network, `lost` the reverse. `native`, `surrogate`, `gradient_free`: eligible images fooled by the gradient attacks
    through native gradients, by the same attacks through the best surrogate, and by Square.
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
        """Of McNemar's exact test between the two networks' robust images."""
        return mcnemar(self.gained, self.lost)

    @property
    def verdict(self) -> str:
        """One of VERDICTS, by the first rule that holds."""
        if 100 * self._hidden / self.eligible >= MASKING_POINTS:
            return VERDICTS[0]
        if self.robust > self.robust_exact and self.p_value < SIGNIFICANT:
            return VERDICTS[1]
        return VERDICTS[2] if any(pair.brittle for pair in self.transfers) else VERDICTS[3]

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on."""
        norm, epsilon = self.settings["norm"], self.settings["epsilon"]
        accuracy = (
            f"{_percent(self.robust, self.images)} of images stay right under attack ({norm} {epsilon:g}), "
            f"{_percent(self.robust_exact, self.images)} in the exact network, p = {self.p_value:.2g}"
        )
        if self.robust < self.robust_exact and self.p_value < SIGNIFICANT:
            accuracy += "; it is less robust"
        if not self.robust and not self.robust_exact:
            accuracy += "; a budget that leaves neither network an image tells nothing apart: try a smaller one"
        if self.verdict == VERDICTS[0]:
            stronger = max(
                (self.surrogate, "the same attacks through a surrogate gradient"), (self.gradient_free, "Square")
            )
            return (
                f"gradient masking: attacks through the network's own gradients fool "
                f"{_percent(self.native, self.eligible)}, {stronger[1]} {_percent(stronger[0], self.eligible)}; "
                f"what the own gradients show is no robustness ({accuracy})."
            )
        if self.verdict == VERDICTS[1]:
            return f"robust: under all attacks, worst case for each image, {accuracy}."
        if self.verdict == VERDICTS[2]:
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
        """Eligible images by which the native gradient falls behind the strongest other way."""
        return max(self.surrogate, self.gradient_free) - self.native

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        record = asdict(self)
        for found, attack in zip(record["attacks"], self.attacks, strict=True):
            found |= {"rate": attack.rate, "interval": list(attack.interval)}
        for found, pair in zip(record["transfers"], self.transfers, strict=True):
            found |= {"minimum_rate": pair.minimum_rate, "margin_rate": pair.margin_rate, "brittle": pair.brittle}
        shares = {
            "robust_accuracy": self.robust / self.images,
            "robust_accuracy_exact": self.robust_exact / self.images,
            "p_value": self.p_value,
        }
        return {"verdict": self.verdict, "sentence": self.sentence, **record, **shares}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"
