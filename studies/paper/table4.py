"""DA table 4: black-box attacks on the exact and the approximate LeNet-5, through substitutes, MNIST."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_eval.scenarios.scenario_runs import black_box
from cnn_eval.scenarios.substitute import SubstituteSettings, first_images, reinitialised, train_substitute
from studies.frame.claim_rules import Difference, above, below, differences, surely
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, verdict
from studies.rows.attack_rows import PUBLISHED_NAMES, rate_row, setting
from studies.rows.further_victims import ALL_LAYERS

TITLE = "black-box attacks on LeNet-5, through a substitute trained on the victim's answers"
SOURCE = "DA table 4"
TOLERANCE = 0.1
AXFPM: dict[str, float] = {"FGSM": 22, "PGD": 0, "JSMA": 13, "C&W": 0, "DF": 25, "LSA": 26, "BA": 27, "HSJ": 0}
PUBLISHED: dict[str, dict[str, float]] = {
    "exact": dict.fromkeys(AXFPM, 100.0),
    **dict.fromkeys(("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}"), AXFPM),
}
ALL_LAYERS_OF: dict[str, tuple[str, ...]] = {"quick": (), "default": ("axfpm_released",), "full": ("axfpm_released",)}
"""Designs that also take all layers: a substitute more for each, too long for level quick."""
SAMPLES = {"quick": 6, "default": 25, "full": 500}
ROUNDS = {"quick": 3, "default": 5, "full": 5}
FIRST = 150
SMALLEST = ", smallest"


def run(options: StudyOptions) -> StudyResult:
    """Trains a substitute for each victim and attacks the victim through it.

    The substitutes have the victim's architecture and start from the same random weights. They are trained on images
    that are not attacked.
    """
    further = {"all_layers": ALL_LAYERS_OF[options.level]}
    attacks = setting(options, SAMPLES, ("axfpm", "axfpm_released"), further=further)
    victims = {"exact": attacks.base, **attacks.victims}
    others, other_labels = attacks.others
    seed_images = others[first_images(other_labels, FIRST)]
    settings = SubstituteSettings(rounds=ROUNDS[options.level])
    untrained = reinitialised(attacks.base, seed=0)
    substitutes = {
        name: train_substitute(victim, untrained, seed_images, settings, title=f"substitute for {name}")
        for name, victim in victims.items()
    }
    rows: list[Row] = []
    for key, attack_name in PUBLISHED_NAMES.items():
        modes = ("minimum", "budget") if key in ("fgsm", "pgd") else ("minimum",)
        for mode in modes:
            task = attacks.task(key, mode)  # type: ignore[arg-type]  # a tuple of modes
            quantity = (
                f"{attack_name}{SMALLEST}" if task.epsilon is None else f"{attack_name}, linf <= {task.epsilon:g}"
            )
            for name, result in black_box(task, substitutes, victims).items():
                fooled_and_eligible = (result.outcome.fooled, int(result.outcome.eligible.sum()))
                # Compared once, with the smallest perturbations (see transfer_rows.Rate.row).
                number = PUBLISHED.get(name, {}).get(attack_name) if mode == "minimum" else None
                rows.append(rate_row(name, quantity, fooled_and_eligible, number))
    rows += [Row(name, "queries", substitute.queries, unit="images") for name, substitute in substitutes.items()]
    rows += [Row(name, "agreement", 100 * substitute.agreement, unit="%") for name, substitute in substitutes.items()]
    rows.sort(key=lambda row: list(victims).index(row.subject))
    conclusion, reason = conclude(rows)
    return StudyResult(rows, conclusion, reason, {**attacks.record(), "substitute": vars(settings), "first": FIRST})


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the differences to the exact network, attack by attack; see `studies.frame.claim_rules`.

    A rate below 100 % is no evidence, since the exact network is not fooled in 100 % either. Where it leaves less room
    than the published difference, there is no test. Reproduced: every difference is the published one. In direction:
    every difference is surely below 0.
    """
    compared = [row for row in rows if row.published is not None and row.subject != "exact"]
    apart = differences(compared, [row for row in rows if row.subject == "exact" and row.published is not None])
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
