"""The top of RESULTS.md: one question, then ten lines: each claim, for which circuits it holds, on how many networks.

A line gathers claims of `studies.frame.claims` and words their verdicts; no number is written here. Where several
networks were measured, the line speaks of these, and of one network otherwise. What has no result is not measured yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studies.frame import claims
from studies.frame.claim_verdicts import UNDECIDED, UNMEASURED, Claim
from studies.frame.study import Row, StudyResult
from studies.frame.verdict_text import CANNOT_TELL, DEPENDS, IN_DIRECTION, NOT_REPRODUCED, REPRODUCED

NOT_YET = "not measured yet"
SEARCH = "robust_search"
_WORDS = {
    REPRODUCED: "holds",
    IN_DIRECTION: "holds in direction",
    NOT_REPRODUCED: "does not hold",
    DEPENDS: DEPENDS,
    CANNOT_TELL: CANNOT_TELL,
    UNDECIDED: UNDECIDED,
    UNMEASURED: NOT_YET,
}
"""Verdict of a claim -> how a line says it, in the order of a line."""


@dataclass(frozen=True)
class FirstLine:
    """One line: the claim in words, and the beginnings of the texts of the claims that decide it.

    `studies` are asked in this order, and the first that has a result with such claims speaks: studies of several
    networks stand before those of one.
    """

    text: str
    studies: tuple[str, ...]
    claims: tuple[str, ...]

    def claims_of(self, study: str) -> list[Claim]:
        """Returns the claims of the line that `study` tests."""
        return [claim for claim in claims.CLAIMS if claim.study == study and claim.text.startswith(self.claims)]


LINES: tuple[FirstLine, ...] = (
    FirstLine(
        "Robust against an adaptive attacker, more than the exact network",
        ("networks_audit", "audit"),
        ("robust, against an adaptive attacker",),
    ),
    FirstLine(
        "The smallest adversarial examples for the exact LeNet-5 seldom transfer",
        ("several_networks", "table2"),
        ("attacks on LeNet-5 seldom transfer, smallest", "attacks on the exact LeNet-5 seldom transfer to Ax-FPM, sm"),
    ),
    FirstLine(
        "Examples with a margin, or that spend a budget, seldom transfer either",
        ("several_networks", "table2"),
        ("attacks on LeNet-5 seldom transfer, with a", "attacks on the exact LeNet-5 seldom transfer to Ax-FPM, FGSM"),
    ),
    FirstLine(
        "The same for AlexNet, smallest perturbations and budgets",
        ("several_alexnets", "table3"),
        ("attacks on AlexNet seldom transfer", "attacks on the exact AlexNet seldom transfer"),
    ),
    FirstLine(
        "Black-box attacks through a substitute fool the approximate network less often than the exact one",
        ("networks_black_box", "table4"),
        ("black-box attacks",),
    ),
    FirstLine(
        "White-box attacks need more noise on the approximate network",
        ("networks_white_box", "figures8_11"),
        ("white-box",),
    ),
    FirstLine("Confidence on clean images is enhanced", ("several_networks", "figure12"), ("confidence is enhanced",)),
    FirstLine(
        "LeNet-5 loses at most one point of accuracy", ("several_networks", "table8"), ("accuracy of LeNet-5 is kept",)
    ),
    FirstLine(
        "AlexNet loses at most one point of accuracy", ("several_alexnets", "table6"), ("accuracy of AlexNet is kept",)
    ),
    FirstLine("The mantissa array saves energy and delay", ("table9",), ("energy", "delay")),
)


def question(results: Mapping[str, StudyResult], levels: Mapping[str, str]) -> str:
    """The question behind all claims and what study robust_search answers, with its power."""
    asked = "Is there any design whose network resists an adaptive attacker better than the exact one?"
    if SEARCH not in results:
        return f"**{asked}** {NOT_YET[0].upper()}{NOT_YET[1:]} ({SEARCH})."
    reason = results[SEARCH].reason
    return f"**{asked}** {reason[0].upper()}{reason[1:]} ([{SEARCH}](#{SEARCH}), {levels[SEARCH]})"


def first_lines(results: Mapping[str, StudyResult], levels: Mapping[str, str]) -> list[str]:
    """Returns the lines as Markdown. `levels`: study -> its level as the page shows it."""
    return [f"{number}. {_line(line, results, levels)}" for number, line in enumerate(LINES, 1)]


def _line(line: FirstLine, results: Mapping[str, StudyResult], levels: Mapping[str, str]) -> str:
    for study in line.studies:
        tests = [(claim, claim.rows(results[study])) for claim in line.claims_of(study)] if study in results else []
        if any(rows for _, rows in tests):
            count = networks(results[study])
            on = f"{count} networks" if count > 1 else "one network" if count else "the circuit itself"
            return f"**{line.text}**: {_verdicts(tests)}; on {on} ([{study}](#{study}), {levels[study]})."
    return f"**{line.text}**: {NOT_YET} ({' or '.join(line.studies)})."


def networks(result: StudyResult) -> int:
    """On how many trained networks a study measured: none where it measured circuits alone."""
    if "networks" in result.settings:
        return len(result.settings["networks"])
    return int(any("weights" in key for key in result.settings))


def _verdicts(tests: Sequence[tuple[Claim, Sequence[Row]]]) -> str:
    """Words the verdicts, each with the circuits that have it and the range of their numbers.

    A circuit with several claims, one for each attack for example, may stand under several verdicts, each time with the
    number of its claims.
    """
    total: dict[str, int] = {}
    groups: dict[str, dict[str, int]] = {verdict: {} for verdict in _WORDS}
    values: dict[str, list[Row]] = {verdict: [] for verdict in _WORDS}
    for claim, rows in tests:
        verdict = claim.verdict(rows)
        total[claim.subject] = total.get(claim.subject, 0) + 1
        groups[verdict][claim.subject] = groups[verdict].get(claim.subject, 0) + 1
        values[verdict] += rows
    parts = []
    for verdict, circuits in groups.items():
        if circuits:
            named = [
                f"`{name}`" if count == total[name] else f"{count} of {total[name]} claims on `{name}`"
                for name, count in circuits.items()
            ]
            numbers = _numbers(values[verdict])
            parts.append(f"{_WORDS[verdict]} for {', '.join(named)}" + (f" ({numbers})" if numbers else ""))
    return "; ".join(parts)


def _numbers(rows: Sequence[Row]) -> str:
    """The range of the numbers of one unit; nothing where units differ."""
    units = {row.unit for row in rows}
    if len(units) != 1:
        return ""
    low, high = (f"{end(row.measured for row in rows):.3g}" for end in (min, max))
    return " ".join(filter(None, (low if low == high else f"{low} to {high}", *units)))
