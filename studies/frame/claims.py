"""The claims of the paper (DA), each with a selector for the study rows that test it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnn_eval.scenarios.control import CONTROL
from studies.frame.claim_rules import Difference, Direction, differences, surely, weakest
from studies.frame.study import Row, StudyResult
from studies.frame.verdict_text import DECISIVE, NEARLY_ALL

CLOSE = 0.05
"""Largest relative difference at which a number without an interval still agrees with the published number."""
UNDECIDED = "too few samples to tell"
CANNOT_TELL = "cannot be told"
"""The verdict where the test could not pass, whatever the circuit, or where a direction has no interval to bear it."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and the rule that tests it.

    `text` states the claim. It is tested by the rows of `study` that have this `subject` and whose quantity matches
    the regular expression `quantity`. `direction` returns whether a row points in the claimed direction, regardless of
    its size, and `stated` describes that direction in words. `words` quotes the paper where it gives no number; the
    direction alone then decides. `control` is the subject of the control's rows, which show how much of the effect
    occurs without noisy arithmetic.

    `reference`, if given, is the subject from whose rates those of the claim and of the control are taken as
    differences. `gradients`, if given, names the victims of a white-box attack, one for each gradient: the weakest
    counts, and only an interval can bear a direction.
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
    reference: str = ""
    gradients: tuple[str, ...] = ()

    def controls(self, result: StudyResult) -> list[Row]:
        """Returns the rows of the control with the same quantities."""
        return self._relative(self._of(result, (self.control,)), result)

    def rows(self, result: StudyResult) -> list[Row]:
        """Returns the rows that test the claim: only those with a published number, unless the claim is in words."""
        rows = [
            row
            for row in self._of(result, self.gradients or (self.subject,))
            if self.words or row.published is not None
        ]
        return self._relative(weakest(rows, self.direction) if self.gradients else rows, result)

    def _of(self, result: StudyResult, subjects: Sequence[str]) -> list[Row]:
        return [row for row in result.rows if row.subject in subjects and re.fullmatch(self.quantity, row.quantity)]

    def _relative(self, rows: list[Row], result: StudyResult) -> list[Row]:
        return differences(rows, self._of(result, (self.reference,))) if self.reference else rows

    def verdict(self, rows: Sequence[Row]) -> str:
        """Returns the verdict on the claim, given the rows that test it.

        The claim is reproduced if every row's interval contains a value that rounds to the published number. A row
        without an interval gets one of 5 % to either side. The claim is reproduced in direction if every row points in
        the claimed direction; for a claim in words, this suffices for "reproduced". Differences, and noise under
        white-box attacks, point in a direction only with their whole interval.

        Where the exact network leaves less room than the published difference, its test could not pass: it cannot be
        told. Nor can a direction that a number has without an interval to bear it.
        """
        if any(isinstance(row, Difference) and row.cannot_be_had for row in rows):
            return CANNOT_TELL
        pointing = all(self.direction(row) for row in rows)
        if pointing and (self.gradients or self.reference) and not all(surely(row, self.direction) for row in rows):
            return UNDECIDED if all(row.interval for row in rows) else CANNOT_TELL
        if self.words:
            return "reproduced" if pointing else "not reproduced"
        agreements = [_agrees(row) for row in rows]
        if False not in agreements:
            return UNDECIDED if None in agreements else "reproduced"
        return "reproduced in direction" if pointing else "not reproduced"


def _agrees(row: Row) -> bool | None:
    """Whether the measured interval is compatible with the published number; None if it is too wide to decide."""
    assert row.published is not None
    low, high = row.interval or sorted(row.measured * factor for factor in (1 - CLOSE, 1 + CLOSE))
    # A number printed with d decimals stands for any value within half a unit in the last place, 0.5 * 10^-d.
    half = 0.5 * 10.0 ** -len(f"{row.published:g}".partition(".")[2])
    if not low - half <= row.published <= high + half:
        return False
    return None if row.unit == "%" and high - low > DECISIVE else True


def below(limit: float) -> Direction:
    """Returns a direction that accepts measured numbers below `limit`."""
    return lambda row: row.measured < limit


def above(limit: float) -> Direction:
    """Returns a direction that accepts measured numbers above `limit`."""
    return lambda row: row.measured > limit


_FLAT, _RELEASED, _HEAP = "axfpm", "axfpm_released", "heap (reconstructed)"
_BOTH = (_FLAT, _RELEASED)
_SMALLEST, _SPENT = "[^,]*, smallest", "(FGSM|PGD), linf <= .*"


def _transfer(text: str, section: str, study: str) -> list[Claim]:
    """Returns the claims that attacks seldom transfer, for both circuits and both kinds of attack.

    The published 100 % on the exact network is what a search for the smallest perturbation gives by construction, so
    that the published numbers stand beside those, once. FGSM and PGD with a budget are tested in words: "seldom" is
    under half of the examples.
    """
    return [
        Claim(f"{text}, {what}", section, study, subject, quantity, below(limit), stated, words, control=CONTROL)
        for subject in _BOTH
        for what, quantity, limit, words in (
            ("smallest perturbations", _SMALLEST, NEARLY_ALL, ""),
            ("FGSM and PGD spending a budget", _SPENT, 50.0, "seldom"),
        )
        for stated in (f"under {limit:g} % fool it",)
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
    *(
        Claim(
            "black-box attacks fool Ax-FPM less often than exact, smallest perturbations",
            "table 4",
            "table4",
            subject,
            _SMALLEST,
            below(0),
            "less often than exact",
            control=CONTROL,
            reference="exact",
        )
        for subject in _BOTH
    ),
    *(
        Claim(
            f"white-box {name} needs more noise on Ax-FPM: {what}",
            "5.3",
            "figures8_11",
            subject,
            quantity,
            *rule,
            control=CONTROL,
            gradients=gradients,
        )
        for subject, gradients in ((_FLAT, ("axfpm, ste", "axfpm, slope")), (_RELEASED, ("axfpm_released, ste",)))
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
            "confidence above 0.8",
            above(0),
            "more than exact",
            control=CONTROL,
            reference="exact",
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
            f"{what} of the {block}, over exact",
            number,
            study,
            subject,
            f"{what} / exact, as drawn.*",
            below(1),
            "saves",
        )
        for block, number, study, subjects in (
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
"""The claims in the order of the paper's sections, which is also their order in the report."""


def tested(results: Mapping[str, StudyResult]) -> list[tuple[Claim, list[Row]]]:
    """Returns each claim whose study has a result, with the rows that test it.

    Raises ValueError if a result has no row for one of its claims.
    """
    claims_with_rows = []
    for claim in CLAIMS:
        if claim.study in results:
            rows = claim.rows(results[claim.study])
            if not rows:
                raise ValueError(
                    f"the stored result of {claim.study} must have a row {claim.subject!r}, {claim.quantity!r}, which "
                    f"tests {claim.text!r}, but has none; run the study again."
                )
            claims_with_rows.append((claim, rows))
    return claims_with_rows
