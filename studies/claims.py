"""What DA claims, each beside the rows of the study that tests it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from studies.study import Row, StudyResult

DECISIVE = 30.0
"""Percentage points: a wider interval agrees with almost any published number, and decides nothing."""
CLOSE = 0.05
"""Relative difference up to which a number without an interval is the published one."""
NEARLY_ALL = 90.0
"""Percent: examples of which more transfer are not resisted, as in an audit."""
UNDECIDED = "too few samples to tell"


@dataclass(frozen=True)
class Claim:
    """`text`: what is claimed; the rows of `study` with this `subject` whose quantity matches `quantity` test it.

    `direction`: whether a measured number shows what is claimed, at another size; `stated`: what that means, in words.
    `published`: the paper's number where the rows have none.
    """

    text: str
    section: str
    study: str
    subject: str
    quantity: str
    direction: Callable[[float], bool]
    stated: str
    published: float | None = None

    def rows(self, result: StudyResult) -> list[Row]:
        """The rows that test it and have a published number."""
        return [
            row
            for row in result.rows
            if row.subject == self.subject
            and re.fullmatch(self.quantity, row.quantity)
            and (row.published is not None or self.published is not None)
        ]

    def number(self, row: Row) -> float:
        """The published number beside `row`."""
        found = self.published if self.published is not None else row.published
        assert found is not None
        return found

    def verdict(self, rows: Sequence[Row]) -> str:
        """Reproduced: every interval (without one, 5 % to either side) holds the published number; in direction: every
        measured number points the same way."""
        held = [self._held(row) for row in rows]
        if None in held:
            return UNDECIDED
        if all(held):
            return "reproduced"
        return "reproduced in direction" if all(self.direction(row.measured) for row in rows) else "not reproduced"

    def _held(self, row: Row) -> bool | None:
        low, high = row.interval or tuple(sorted(row.measured * factor for factor in (1 - CLOSE, 1 + CLOSE)))
        if row.unit == "%" and high - low > DECISIVE:
            return None
        return low <= self.number(row) <= high


def below(limit: float) -> Callable[[float], bool]:
    """Direction: smaller than `limit`."""
    return lambda value: value < limit


def above(limit: float) -> Callable[[float], bool]:
    """Direction: larger than `limit`."""
    return lambda value: value > limit


_FLAT, _RELEASED, _HEAP = "axfpm", "axfpm_released", "heap (reconstructed)"
_BOTH = (_FLAT, _RELEASED)
_RESISTS = (below(NEARLY_ALL), f"under {NEARLY_ALL:g} % fool it")


def _transfer(text: str, section: str, study: str, subjects: Sequence[str] = _BOTH) -> list[Claim]:
    return [
        Claim(f"{text}, {what}", section, study, subject, quantity, *_RESISTS)
        for subject in subjects
        for what, quantity in (("smallest perturbations", ".*, smallest"), ("a budget spent", ".* <= .*"))
    ]


CLAIMS: tuple[Claim, ...] = (
    *_transfer("attacks on the exact LeNet-5 seldom transfer to Ax-FPM", "table 2", "table2"),
    *_transfer("attacks on the exact AlexNet seldom transfer to Ax-FPM", "table 3", "table3"),
    *_transfer("black-box attacks seldom fool Ax-FPM", "table 4", "table4"),
    *(
        Claim(f"white-box {name} needs more noise on Ax-FPM: {what}", "5.3", "figures8_11", subject, quantity, *rule)
        for subject in ("axfpm, ste", "axfpm, slope", "axfpm_released, ste")
        for name, key in (("DeepFool", "deepfool"), ("C&W", "cw"))
        for what, quantity, rule in (
            ("L2 less exact", f"{key}: L2 less exact", (above(0), "more noise")),
            ("PSNR less exact, 4 dB in the abstract", f"{key}: PSNR less exact", (below(0), "worse images")),
        )
    ),
    *(
        Claim("confidence: images above 0.8", "6", "figure12", subject, "confidence above 0.8", above(20), "over 20 %")
        for subject in ("exact", *_BOTH)
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
        Claim(f"error: {what}", "table 8", "table8", subject, re.escape(what), below(0.5), "under .5")
        for subject in (_HEAP, *_BOTH)
        for what in ("MRED (ratio of means)", "NMED")
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
            ("mantissa array", "table 9", "table9", (_FLAT, _HEAP)),
        )
        for subject in subjects
        for what in ("energy", "delay")
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
