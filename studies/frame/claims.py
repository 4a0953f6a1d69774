"""What DA claims, each beside the rows of the study that tests it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cnn_eval.scenarios.control import CONTROL
from studies.frame.study import Row, StudyResult
from studies.frame.verdicts import DECISIVE, NEARLY_ALL

CLOSE = 0.05
"""Relative difference up to which a number without an interval is the published one."""
UNDECIDED = "too few samples to tell"
Direction = Callable[[Row], bool]


@dataclass(frozen=True)
class Claim:
    """`text`: what is claimed; the rows of `study` with this `subject` whose quantity matches `quantity` test it.

    `direction`: whether a row shows what is claimed, if at another size; `stated`: what that means, in words.
    `words`: what DA says where it gives no number; then the direction alone decides. `control`: the subject of rows
    that show how much of it comes without any noise.
    """

    text: str
    section: str
    study: str
    subject: str
    quantity: str
    direction: Direction
    stated: str
    words: str = ""
    control: str = ""

    def controls(self, result: StudyResult) -> list[Row]:
        """The same quantities of the control."""
        return [row for row in result.rows if row.subject == self.control and re.fullmatch(self.quantity, row.quantity)]

    def rows(self, result: StudyResult) -> list[Row]:
        """The rows that test it; of those with a published number, where it has one."""
        return [
            row
            for row in result.rows
            if row.subject == self.subject
            and re.fullmatch(self.quantity, row.quantity)
            and (self.words or row.published is not None)
        ]

    def verdict(self, rows: Sequence[Row]) -> str:
        """Reproduced: every interval (without one, 5 % to either side) reaches what rounds to the published number; in
        direction: every row points the same way. In words: reproduced if every row points that way."""
        pointing = all(self.direction(row) for row in rows)
        if self.words:
            return "reproduced" if pointing else "not reproduced"
        held = [_held(row) for row in rows]
        if False not in held:
            return UNDECIDED if None in held else "reproduced"
        return "reproduced in direction" if pointing else "not reproduced"


def _held(row: Row) -> bool | None:
    """Whether the published number may be the measured one; None where the interval is too wide to say."""
    assert row.published is not None
    low, high = row.interval or sorted(row.measured * factor for factor in (1 - CLOSE, 1 + CLOSE))
    half = 0.5 * 10.0 ** -len(f"{row.published:g}".partition(".")[2])
    if not low - half <= row.published <= high + half:
        return False
    return None if row.unit == "%" and high - low > DECISIVE else True


def below(limit: float) -> Direction:
    """Smaller than `limit`."""
    return lambda row: row.measured < limit


def above(limit: float) -> Direction:
    """Larger than `limit`."""
    return lambda row: row.measured > limit


_FLAT, _RELEASED, _HEAP = "axfpm", "axfpm_released", "heap (reconstructed)"
_BOTH = (_FLAT, _RELEASED)
_SMALLEST, _SPENT = "[^,]*, smallest", "(FGSM|PGD), linf <= .*"
_RESISTS = (below(NEARLY_ALL), f"under {NEARLY_ALL:g} % fool it")


def _transfer(text: str, section: str, study: str) -> list[Claim]:
    return [
        Claim(f"{text}, {what}", section, study, subject, quantity, *_RESISTS, control=CONTROL)
        for subject in _BOTH
        for what, quantity in (("smallest perturbations", _SMALLEST), ("FGSM and PGD spending a budget", _SPENT))
    ]


CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(f"noise: {what}", "4.1", "figure3", subject, quantity, *rule)
        for subject in _BOTH
        for what, quantity, rule in (
            (
                "discontinuous in the operands",
                "largest jump along the second operand",
                (above(0.01), "over .01", "discontinuous"),
            ),
            ("larger in magnitude than exact", "larger in magnitude", (above(90), "over 90 %")),
            (
                "grows with the numbers",
                r"rank correlation of \|e\| with \|p\|",
                (above(0.5), "correlation over .5", "grows"),
            ),
        )
    ),
    *(
        Claim(
            "filters: the gap to exact rises with similarity",
            "4.2",
            "figure4",
            subject,
            "rank correlation of gap with similarity, .*",
            above(0.5),
            "correlation over .5",
            "rises",
            CONTROL,
        )
        for subject in _BOTH
    ),
    *_transfer("attacks on the exact LeNet-5 seldom transfer to Ax-FPM", "table 2", "table2"),
    *_transfer("attacks on the exact AlexNet seldom transfer to Ax-FPM", "table 3", "table3"),
    *_transfer("black-box attacks seldom fool Ax-FPM", "table 4", "table4"),
    *(
        Claim(
            f"white-box {name} needs more noise on Ax-FPM: {what}",
            "5.3",
            "figures8_11",
            subject,
            quantity,
            *rule,
            control=CONTROL,
        )
        for subject in ("axfpm, ste", "axfpm, slope", "axfpm_released, ste")
        for name, key in (("DeepFool", "deepfool"), ("C&W", "cw"))
        for what, quantity, rule in (
            ("L2 less exact", f"{key}: L2 less exact", (above(0), "more noise")),
            ("PSNR less exact (4 dB in the abstract)", f"{key}: PSNR less exact", (below(0), "worse images")),
        )
    ),
    *(
        Claim(
            "robust, against an adaptive attacker",
            "abstract",
            "audit",
            f"{subject}, linf 0.1",
            "robust accuracy",
            lambda row: row.remark == "robust",
            "the audit's verdict is robust",
            "more robust than exact",
        )
        for subject in (_FLAT, _HEAP)
    ),
    *(
        Claim(
            "confidence is enhanced: images above 0.8, less exact",
            "6",
            "figure12",
            subject,
            "confidence above 0.8, less exact",
            above(0),
            "more than exact",
            control=CONTROL,
        )
        for subject in _BOTH
    ),
    *(
        Claim("DA is twice as robust as DQ", "7.1", "table5", f"{subject} / {other}", ".*: failures, ratio", *rule)
        for subject in _BOTH
        for other in ("DQ full", "DQ weight-only")
        for rule in ((above(1), "more examples fail on DA"),)
    ),
    *(
        Claim(f"bfloat16: no gain in robustness, {what}", "7.2", "bfloat16_transfer", subject, quantity, *rule)
        for subject in ("LeNet-5, MNIST: bfloat16", "AlexNet, CIFAR-10: bfloat16")
        for what, quantity in (("smallest perturbations", _SMALLEST), ("a budget spent", _SPENT))
        for rule in ((above(NEARLY_ALL), f"over {NEARLY_ALL:g} % transfer", "no gain"),)
    ),
    *(
        Claim(f"bfloat16: noise {what}", "7.2", "figure13", "bfloat16", quantity, *rule)
        for what, quantity, rule in (
            ("mostly negative", "negative", (above(50), "over 50 %", "mostly negative")),
            (
                "orders of magnitude below Ax-FPM's",
                r"mean \|e\| of axfpm / own",
                (above(100), "over 100 times", "orders of magnitude"),
            ),
            (
                "not input-dependent",
                r"rank correlation of \|e\| with \|p\|",
                (below(0.1), "correlation under .1", "not dependent"),
            ),
        )
    ),
    *(
        Claim("accuracy of LeNet-5 is kept", "table 8", "table8", subject, "accuracy", above(97), "over 97 %")
        for subject in ("exact", _HEAP, *_BOTH)
    ),
    *(
        Claim("accuracy of AlexNet is kept", "table 6", "table6", subject, "accuracy", above(79), "over 79 %")
        for subject in ("alexnet exact", "alexnet axfpm", "alexnet axfpm_released", "alexnet bfloat16")
    ),
    *(
        Claim(f"error: {what}", "table 8", "table8", subject, re.escape(what), below(0.5), stated)
        for subject, stated in ((_HEAP, "fitted, no evidence"), *((name, "under .5") for name in _BOTH))
        for what in ("MRED (ratio of means)", "NMED")
    ),
    Claim(
        "noise of HEAP: larger than exact",
        "app. A",
        "figure15",
        _HEAP,
        "larger in magnitude",
        below(50),
        "fitted, no evidence",
    ),
    *(
        Claim(
            f"{what} of the {part}, over exact",
            number,
            study,
            subject,
            f"{what} / exact, as drawn.*",
            below(1),
            "saves",
        )
        for part, number, study, subjects in (
            ("whole multiplier", "table 7", "table7", (*_BOTH, "bfloat16")),
            ("mantissa array", "table 9", "table9", (*_BOTH, _HEAP)),
        )
        for subject in subjects
        for what in ("energy", "delay")
    ),
    *(
        Claim(
            "heat maps: important features are highlighted",
            "app. A",
            "figure16",
            subject,
            "mean of the exact network's top 10 % / exact",
            above(1),
            "over 1",
            "highlights",
            CONTROL,
        )
        for subject in _BOTH
    ),
)
"""In the order of the paper's sections, as the report shows them."""


def tested(results: Mapping[str, StudyResult]) -> list[tuple[Claim, list[Row]]]:
    """Each claim whose study has run, with the rows that test it; ValueError if a study has none for its claim."""
    found = []
    for claim in CLAIMS:
        if claim.study in results:
            rows = claim.rows(results[claim.study])
            if not rows:
                raise ValueError(
                    f"the stored result of {claim.study} must have a row {claim.subject!r}, {claim.quantity!r}, which "
                    f"tests {claim.text!r}, but has none; run the study again."
                )
            found.append((claim, rows))
    return found
