"""DA table 4: black-box attacks on the exact and the approximate LeNet-5, through substitutes, MNIST."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_eval.scenarios.substitute import SubstituteSettings
from cnn_eval.scenarios.success import Outcome
from studies.frame.claim_rules import PAIRED, Difference, above, below, differences, surely
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, verdict
from studies.rows.attack_rows import PUBLISHED_NAMES, rate_row, setting
from studies.rows.black_box_rows import FIRST, SMALLEST, black_box_attacks, substitutes_for
from studies.rows.further_victims import ALL_LAYERS
from studies.rows.over_networks import changed

TITLE = "black-box attacks on LeNet-5, through a substitute trained on the victim's answers"
SOURCE = "DA table 4"
TOLERANCE = 0.1
AXFPM: dict[str, float] = {"FGSM": 22, "PGD": 0, "JSMA": 13, "C&W": 0, "DF": 25, "LSA": 26, "BA": 27, "HSJ": 0}
PUBLISHED: dict[str, dict[str, float]] = {
    "exact": dict.fromkeys(AXFPM, 100.0),
    **dict.fromkeys(("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}"), AXFPM),
}
FURTHER_OF: dict[str, tuple[str, ...]] = {"quick": (), "default": ("axfpm_released",), "full": ("axfpm_released",)}
"""Designs with all layers too, and with matched controls: substitutes more for each, too long for level quick."""
SPENDING = ("fgsm", "pgd")
SAMPLES = {"quick": 6, "default": 25, "full": 110}
"""Level full takes enough for 100 eligible examples of every attack on each of seven victims, one substitute each."""
ROUNDS = {"quick": 3, "default": 5, "full": 5}


def run(options: StudyOptions) -> StudyResult:
    """Trains a substitute for each victim and attacks the victim through it.

    The substitutes have the victim's architecture and start from the same random weights. They are trained on images
    that are not attacked.
    """
    further = FURTHER_OF[options.level]
    attacks = setting(
        options, SAMPLES, ("axfpm", "axfpm_released"), further={"all_layers": further, "matched": further}
    )
    settings = SubstituteSettings(rounds=ROUNDS[options.level])
    substitutes = substitutes_for(attacks, settings)
    rows: list[Row] = []
    for attacked in black_box_attacks(attacks, PUBLISHED_NAMES, substitutes, SPENDING):
        for name, outcome in attacked.outcomes.items():
            # Compared once, with the smallest perturbations (see transfer_rows.Rate.row).
            number = PUBLISHED.get(name, {}).get(attacked.attack) if attacked.mode == "minimum" else None
            counts = (outcome.fooled, int(outcome.eligible.sum()))
            rows.append(rate_row(name, attacked.quantity, counts, number))
            if name != "exact":
                rows.append(paired_row(name, attacked.quantity, outcome, attacked.outcomes["exact"]))
    rows += [Row(name, "queries", substitute.queries, unit="images") for name, substitute in substitutes.items()]
    rows += [Row(name, "agreement", 100 * substitute.agreement, unit="%") for name, substitute in substitutes.items()]
    rows.sort(key=lambda row: list(substitutes).index(row.subject))
    conclusion, reason = conclude(rows)
    return StudyResult(rows, conclusion, reason, {**attacks.record(), "substitute": vars(settings), "first": FIRST})


def paired_row(name: str, quantity: str, outcome: Outcome, exact: Outcome) -> Row:
    """Returns the row of a rate less that of the exact network on the images that count for both, paired."""
    both = outcome.eligible & exact.eligible
    difference = changed(outcome.success[both].numpy(), exact.success[both].numpy())
    note = f"paired, {int(both.sum())} images"
    return Row(name, f"{quantity}{PAIRED}", difference.mean, None, difference.interval, "points", note)


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the differences to the exact network, attack by attack, paired where the rows have them.

    A rate below 100 % is no evidence, since the exact network is not fooled in 100 % either. Where it leaves less room
    than the published difference, there is no test. Reproduced: every difference is the published one. In direction:
    every difference is surely below 0.
    """
    compared = [row for row in rows if row.published is not None and row.subject != "exact"]
    exact = [row for row in rows if row.subject == "exact" and row.published is not None]
    apart = differences(compared, exact, paired=rows)
    lower, higher = (sum(surely(row, direction) for row in apart) for direction in (below(0), above(0)))
    agree = [row.interval is not None and row.interval[0] <= (row.published or 0) <= row.interval[1] for row in apart]
    rates = [
        f"{sum(row.measured for row in own) / len(own):.0f} % on {subject}"
        for subject in dict.fromkeys(row.subject for row in rows)
        if (own := [row for row in rows if row.subject == subject and row.quantity.endswith(SMALLEST)])
    ]
    return verdict(
        reproduced=all(agree),
        in_direction=lower == len(apart),
        room=not any(isinstance(row, Difference) and row.cannot_be_had for row in apart),
    ), (
        f"of {len(apart)} differences to the exact network, {lower} are surely lower, {higher} surely higher and the "
        f"others undecided; mean rates over attacks, smallest perturbations: {', '.join(rates)}. The published 100 % "
        "on the exact network would need examples that transfer from another network."
    )
