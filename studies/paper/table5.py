"""DA table 5: transfer on CIFAR-10 to the approximate AlexNet (DA) and to 4-bit DoReFa networks (DQ)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from circuits.support.statistics import ratio_interval
from cnn_eval.models.registry import load_model
from cnn_eval.scenarios.control import CONTROL
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows import transfer_rows
from studies.rows.attack_rows import setting, verdict
from studies.rows.transfer_rows import Rate

TITLE = "transfer on CIFAR-10 to approximate (DA) and quantised (DQ) networks"
SOURCE = "DA table 5, section 7.1"
TOLERANCE = 0.1
ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "cw": "C&W"}
EXACT: dict[str, float] = {"FGSM": 100, "PGD": 100, "C&W": 100}
DA: dict[str, float] = {"FGSM": 38, "PGD": 31, "C&W": 17}
DQ: dict[str, dict[str, float]] = {
    "DQ full": {"FGSM": 60, "PGD": 74, "C&W": 68},
    "DQ weight-only": {"FGSM": 61, "PGD": 73, "C&W": 68},
}
PUBLISHED: Mapping[str, Mapping[str, float]] = {"exact": EXACT, "axfpm": DA, "axfpm_released": DA, **DQ}
QUANTISED = {"DQ full": "dorefa_full", "DQ weight-only": "dorefa_weight"}
OTHER = "AlexNet"
"""A victim beside DQ's: an exact network that was trained apart from the source, as DQ's were."""
SOURCES = {"alexnet": "AlexNet", "dorefa_float": "float twin"}
"""Where examples are crafted: the exact network of the same architecture as the victim."""
CLAIMED = 2.0
"""Section 7.1: DA is "almost two times more robust"; here, as many times more examples that do not transfer."""
SAMPLES = {"quick": 16, "default": 100, "full": 1000}
SLOW = {"quick": 6, "default": 8, "full": 200}
"""Samples of C&W."""


def run(options: StudyOptions) -> StudyResult:
    """AlexNet to its approximate forms, and the float twin of table 11's architecture to its quantised forms; quick and
    default on embedded images."""
    made = {
        "alexnet": setting(options, SAMPLES, ("exact", "axfpm", "axfpm_released"), model="alexnet", slow=SLOW),
        "dorefa_float": setting(
            options,
            SAMPLES,
            ("exact",),
            model="dorefa_float",
            slow=SLOW,
            more={name: load_model(model) for name, model in {**QUANTISED, OTHER: "alexnet"}.items()},
        ),
    }
    found = {source: transfer_rows.rates(entry, ATTACKS) for source, entry in made.items()}
    rows = [
        rate.row(PUBLISHED, subject=f"{SOURCES[source]} -> {rate.victim}")
        for source, several in found.items()
        for rate in several
    ]
    compared = [row for row in rows if not row.subject.endswith((" exact", CONTROL))]
    ratios, claim = _claim(found["alexnet"], found["dorefa_float"])
    said, told = _verdict(claim)
    _, counts = verdict(compared)
    return StudyResult(
        "table5",
        TITLE,
        SOURCE,
        rows + ratios,
        said,
        f"{told} {counts} From AlexNet: {transfer_rows.told(found['alexnet'], PUBLISHED)}From the float twin: "
        f"{transfer_rows.told(found['dorefa_float'], PUBLISHED)}{_apart(found['dorefa_float'])} DA's source and "
        "victims are AlexNet, DQ's are the networks of table 11, each from its own exact network, as DA does not say "
        "which it took.",
        {name: entry.record(list(ATTACKS)) for name, entry in made.items()},
    )


def _apart(found: Sequence[Rate]) -> str:
    """Transfer from the float twin to a network that is not quantised, but was trained apart."""
    chosen = [rate for rate in found if rate.victim == OTHER]
    shares = (
        transfer_rows.share(rate for rate in chosen if rate.mode == "minimum"),
        transfer_rows.share(rate for rate in chosen if rate.spends),
    )
    shown = ("none of none" if value is None else f"{value:.0f} %" for value in shares)
    return f"To {OTHER}, exact and trained apart, {' and '.join(shown)} of these."


def _claim(approximate: Sequence[Rate], quantised: Sequence[Rate]) -> tuple[list[Row], list[tuple[float, float]]]:
    """Failures of DA over failures of DQ, attack by attack: the rows that have a ratio, and the intervals of all."""
    rows, intervals = [], []
    failures = {
        (rate.victim, rate.quantity): (rate.eligible - rate.fooled, rate.eligible)
        for rate in (*approximate, *quantised)
    }
    for ours in approximate:
        if ours.victim in ("exact", CONTROL) or not (ours.mode == "minimum" or ours.spends):
            continue
        for name, published in DQ.items():
            one, other = failures[ours.victim, ours.quantity], failures[name, ours.quantity]
            interval = ratio_interval(one, other)
            intervals.append(interval)
            if one[1] and other[0]:
                rows.append(
                    Row(
                        f"{ours.victim} / {name}",
                        f"{ours.quantity}: failures, ratio",
                        (one[0] / one[1]) / (other[0] / other[1]),
                        (100 - DA[ours.attack]) / (100 - published[ours.attack]),
                        interval,
                        remark=f"{one[0]} of {one[1]} against {other[0]} of {other[1]} do not transfer",
                    )
                )
    return rows, intervals


def _verdict(intervals: Sequence[tuple[float, float]]) -> tuple[str, str]:
    """Reproduced: every interval holds CLAIMED and not 1; in direction: none lies below 1, and most lie above."""
    above = sum(low > 1 for low, _ in intervals)
    below = sum(high < 1 for _, high in intervals)
    twice = sum(1 < low <= CLAIMED <= high for low, high in intervals)
    open_ = sum(math.isinf(high) for _, high in intervals)
    said = "not reproduced"
    if intervals and twice == len(intervals):
        said = "reproduced"
    elif 2 * above > len(intervals) and not below:
        said = "reproduced in direction"
    return said, (
        f"Robustness as the share of examples that do not transfer: of {len(intervals)} comparisons of DA with DQ, DA "
        f"is more robust in {above} (about {CLAIMED:g} times in {twice}), less in {below}, undecided in "
        f"{len(intervals) - above - below}; {open_} ratios have no upper limit, for want of examples that do not "
        "transfer to DQ."
    )
