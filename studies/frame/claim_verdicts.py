"""One claim of the paper, the rows that test it, and the rule by which they do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from studies.frame.claim_rules import Difference, Direction, differences, is_testable, surely, weakest
from studies.frame.study import Row, StudyResult
from studies.frame.verdict_text import CANNOT_TELL, DECISIVE, DEPENDS

CLOSE = 0.05
"""Largest relative difference at which a number without an interval still agrees with the published number."""
UNDECIDED = "too few samples to tell"
UNMEASURED = "not in the stored result"
"""Instead of a verdict where the stored result is older than the claim: its study has to run again."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and the rule that tests it.

    `text` states the claim. It is tested by the rows of `study` that have this `subject` and whose quantity matches
    the regular expression `quantity`. `direction` returns whether a row points in the claimed direction, regardless of
    its size, and `stated` describes that direction in words. `words` quotes the paper where it gives no number; the
    direction alone then decides. `control` is the subject of the control's rows, which show how much of the effect
    occurs without noisy arithmetic; `control_is` says what that control is for this circuit.

    `reference`, if given, is the subject from whose rates those of the claim and of the control are taken as
    differences. `gradients`, if given, names the victims of a white-box attack, one for each gradient: the weakest
    counts. `paired`: the rows are paired differences to the exact network, or means over several networks. In these
    three cases only a whole interval can bear a direction. `decisive` is the width in percentage points up to which an
    interval can confirm a number. `given` says why the test could not fail, if it could not.
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
    control_is: str = "the control"
    reference: str = ""
    gradients: tuple[str, ...] = ()
    paired: bool = False
    decisive: float = DECISIVE
    given: str = ""

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
        if not self.reference:
            return rows
        return differences(rows, self._of(result, (self.reference,)), paired=result.rows)

    def verdict(self, rows: Sequence[Row]) -> str:
        """Returns the verdict on the claim, given the rows that test it.

        The claim is reproduced if every row's interval contains a value that rounds to the published number. A row
        without an interval gets one of 5 % to either side. The claim is reproduced in direction if every row points in
        the claimed direction; for a claim in words, this suffices for "reproduced". Differences, and noise under
        white-box attacks, point in a direction only with their whole interval.

        Where the exact network leaves less room than the published difference, or no number could point the claimed
        way, the test could not pass; where any number would, or the number was fitted, it could not fail: it cannot be
        told. Nor can a direction that a number has without an interval to bear it. Without rows nothing was measured. A
        study of several networks says in its remark where the direction depends on the network.
        """
        if not rows:
            return UNMEASURED
        if any(row.remark.startswith(DEPENDS) for row in rows):
            return DEPENDS
        if self.given or not all(is_testable(row, self.direction) for row in rows):
            return CANNOT_TELL
        if any(isinstance(row, Difference) and row.cannot_be_had for row in rows):
            return CANNOT_TELL
        pointing = all(self.direction(row) for row in rows)
        whole = bool(self.gradients or self.reference or self.paired)
        if pointing and whole and not all(surely(row, self.direction) for row in rows):
            return UNDECIDED if all(row.interval for row in rows) else CANNOT_TELL
        if self.words:
            return "reproduced" if pointing else "not reproduced"
        agreements = [_agrees(row, self.decisive) for row in rows]
        if False not in agreements:
            return UNDECIDED if None in agreements else "reproduced"
        return "reproduced in direction" if pointing else "not reproduced"


def _agrees(row: Row, decisive: float) -> bool | None:
    """Whether the measured interval is compatible with the published number; None if it is too wide to decide."""
    assert row.published is not None
    low, high = row.interval or sorted(row.measured * factor for factor in (1 - CLOSE, 1 + CLOSE))
    # A number printed with d decimals stands for any value within half a unit in the last place, 0.5 * 10^-d.
    half = 0.5 * 10.0 ** -len(f"{row.published:g}".partition(".")[2])
    if not low - half <= row.published <= high + half:
        return False
    return None if row.unit in ("%", "points") and high - low > decisive else True
