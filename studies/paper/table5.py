"""DA table 5: transfer on CIFAR-10 to the approximate AlexNet (DA) and to 4-bit DoReFa networks (DQ)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from circuits.support.statistics import ratio_interval
from cnn_eval.models.registry import load_model
from cnn_eval.scenarios.control import CONTROL
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, verdict
from studies.rows import transfer_rows
from studies.rows.attack_rows import rates_verdict, setting
from studies.rows.further_victims import ALL_LAYERS
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
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "exact": EXACT,
    **dict.fromkeys(("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}"), DA),
    **DQ,
}
QUANTISED = {"DQ full": "dorefa_full", "DQ weight-only": "dorefa_weight"}
OTHER = "AlexNet"
"""A further victim beside DQ's: an exact network that, like DQ's, was trained separately from the source."""
SOURCES = {"alexnet": "AlexNet", "dorefa_float": "float twin"}
"""The networks on which examples are crafted: exact, with the victim's architecture."""
CLAIMED = 2.0
"""Section 7.1 claims that DA is "almost two times more robust".

Here, robustness is the share of examples that fail to transfer, and the claim is about the ratio of these shares.
"""
SAMPLES = {"quick": 16, "default": 100, "full": 1000}
SLOW = {"quick": 6, "default": 8, "full": 200}
"""Number of samples for C&W."""


def run(options: StudyOptions) -> StudyResult:
    """Measures transfer from AlexNet to its approximate forms, and from the float twin to its quantised forms.

    The float twin has the architecture of table 11. Levels quick and default use embedded images.
    """
    settings = {
        "alexnet": setting(
            options,
            SAMPLES,
            ("exact", "axfpm", "axfpm_released"),
            model="alexnet",
            slow=SLOW,
            further={"all_layers": ("axfpm_released",)},
        ),
        "dorefa_float": setting(
            options,
            SAMPLES,
            ("exact",),
            model="dorefa_float",
            slow=SLOW,
            extra_victims={name: load_model(model) for name, model in {**QUANTISED, OTHER: "alexnet"}.items()},
        ),
    }
    rates = {source: transfer_rows.rates(source_setting, ATTACKS) for source, source_setting in settings.items()}
    rows = [
        rate.row(PUBLISHED, subject=f"{SOURCES[source]} -> {rate.victim}")
        for source, source_rates in rates.items()
        for rate in source_rates
    ]
    compared = [row for row in rows if not row.subject.endswith((" exact", CONTROL))]
    ratios, claim = _claim(rates["alexnet"], rates["dorefa_float"])
    conclusion, reason = conclude(claim)
    _, counts = rates_verdict(compared)
    return StudyResult(
        rows + ratios,
        conclusion,
        f"{reason} {counts} From AlexNet: {transfer_rows.summary(rates['alexnet'], PUBLISHED)}From the float twin: "
        f"{transfer_rows.summary(rates['dorefa_float'], PUBLISHED)}{_apart(rates['dorefa_float'])} DA's source and "
        "victims are AlexNet, DQ's are the networks of table 11, each from its own exact network, as DA does not say "
        "which it took.",
        {name: source_setting.record(list(ATTACKS)) for name, source_setting in settings.items()},
    )


def _apart(twin_rates: Sequence[Rate]) -> str:
    """Describes the transfer from the float twin to a network that is exact but was trained separately."""
    apart_rates = [rate for rate in twin_rates if rate.victim == OTHER]
    shares = (
        transfer_rows.share(rate for rate in apart_rates if rate.mode == "minimum"),
        transfer_rows.share(rate for rate in apart_rates if rate.spends),
    )
    texts = ("none of none" if value is None else f"{value:.0f} %" for value in shares)
    return f"To {OTHER}, exact and trained apart, {' and '.join(texts)} of these."


def _claim(approximate: Sequence[Rate], quantised: Sequence[Rate]) -> tuple[list[Row], list[tuple[float, float]]]:
    """Compares how often attacks fail on DA and on DQ.

    A failure is an eligible example that does not transfer. With the failures f of n eligible examples, the ratio is
    (f_DA / n_DA) / (f_DQ / n_DQ) for each attack. Returns the rows of the ratios that exist, and the intervals of those
    of the smallest perturbations, with which each published number is compared once.
    """
    rows, intervals = [], []
    failures = {
        (rate.victim, rate.quantity): (rate.eligible - rate.fooled, rate.eligible)
        for rate in (*approximate, *quantised)
    }
    for ours in approximate:
        if ours.victim in ("exact", CONTROL) or not (ours.mode == "minimum" or ours.spends):
            continue
        for name, published in DQ.items():
            da, dq = failures[ours.victim, ours.quantity], failures[name, ours.quantity]
            # Both are (failures, eligible examples). The ratio exists, and gets a row, only if neither is divided by 0.
            interval = ratio_interval(da, dq)
            if ours.mode == "minimum":
                intervals.append(interval)
            if da[1] and dq[0]:
                rows.append(
                    Row(
                        f"{ours.victim} / {name}",
                        f"{ours.quantity}: failures, ratio",
                        (da[0] / da[1]) / (dq[0] / dq[1]),
                        (100 - DA[ours.attack]) / (100 - published[ours.attack]) if ours.mode == "minimum" else None,
                        interval,
                        remark=f"{da[0]} of {da[1]} against {dq[0]} of {dq[1]} do not transfer",
                    )
                )
    return rows, intervals


def conclude(intervals: Sequence[tuple[float, float]]) -> Conclusion:
    """Concludes from the intervals of the ratios of DA's failures to DQ's.

    Reproduced: every interval contains CLAIMED and lies above 1. In direction: no interval lies below 1, and more than
    half lie above 1.
    """
    above = sum(low > 1 for low, _ in intervals)
    below = sum(high < 1 for _, high in intervals)
    twice = sum(1 < low <= CLAIMED <= high for low, high in intervals)
    unlimited = sum(math.isinf(high) for _, high in intervals)
    return verdict(
        reproduced=bool(intervals) and twice == len(intervals),
        in_direction=2 * above > len(intervals) and not below,
    ), (
        f"Robustness as the share of examples that do not transfer: of {len(intervals)} comparisons of DA with DQ, DA "
        f"is more robust in {above} (about {CLAIMED:g} times in {twice}), less in {below}, undecided in "
        f"{len(intervals) - above - below}; {unlimited} ratios have no upper limit, for want of examples that do not "
        "transfer to DQ."
    )
