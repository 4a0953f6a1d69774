"""Own study: DA table 4 on five LeNet-5s: are approximate networks fooled less often than exact ones by a black box?

Each network, exact or approximate, has a substitute trained on its answers. Differences to the exact network are taken
on the same images, image by image, and their intervals contain the variance between networks.
"""

from __future__ import annotations

from cnn_eval.models.registry import weights_record
from cnn_eval.scenarios.substitute import SubstituteSettings
from studies.frame.claim_rules import PAIRED
from studies.frame.study import StudyOptions, StudyResult
from studies.own.networks.several_networks import NETWORKS, figures
from studies.paper import table4
from studies.rows.attack_rows import PUBLISHED_NAMES, setting
from studies.rows.black_box_rows import EXACT, SMALLEST, black_box_attacks, substitutes_for
from studies.rows.over_networks import (
    POINTS,
    RECORD,
    Claimed,
    Found,
    changed,
    found_on_each,
    over,
    rows_of,
    shared,
)

TITLE = "black-box attacks through substitutes on five LeNet-5s, less exact"
SOURCE = "own; DA table 4"
TOLERANCE = 0.1
DESIGNS = ("axfpm_released",)
MATCHED_TO = {"quick": (), "default": ("axfpm_released",), "full": ("axfpm_released",)}
ATTACKS = {
    "quick": ("fgsm", "deepfool"),
    "default": ("fgsm", "pgd", "jsma", "deepfool", "cw"),
    "full": tuple(PUBLISHED_NAMES),
}
SAMPLES = {"quick": 30, "default": 100, "full": 120}
ROUNDS = {"quick": 2, "default": 4, "full": 5}
"""Doublings of the substitutes' training images."""


def run(options: StudyOptions) -> StudyResult:
    """Trains a substitute for every victim of every network and attacks the victim through it."""
    settings = SubstituteSettings(rounds=ROUNDS[options.level])
    attacked = {key: PUBLISHED_NAMES[key] for key in ATTACKS[options.level]}

    def measure(name: str) -> Found:
        further = {"matched": MATCHED_TO[options.level]}
        attacks = setting(options, SAMPLES, DESIGNS, model=name, further=further)
        substitutes = substitutes_for(attacks, settings)
        found: Found = {}
        for attack in black_box_attacks(attacks, attacked, substitutes, table4.SPENDING):
            exact = attack.outcomes[EXACT]
            for victim, outcome in attack.outcomes.items():
                found[victim, attack.quantity] = shared(outcome.success[outcome.eligible].numpy())
                if victim != EXACT:
                    both = outcome.eligible & exact.eligible
                    found[victim, f"{attack.quantity}{PAIRED}"] = changed(
                        outcome.success[both].numpy(), exact.success[both].numpy()
                    )
        return found

    rows = rows_of(found_on_each(options, NETWORKS, measure), CLAIMED)
    pooled = [
        row
        for row in rows
        if row.quantity.endswith(over(NETWORKS)) and row.unit == POINTS and row.subject in table4.PUBLISHED
    ]
    worse = sum(row.interval is not None and row.interval[0] > 0 for row in pooled)
    better = sum(row.interval is not None and row.interval[1] < 0 for row in pooled)
    return StudyResult(
        rows,
        "measured",
        f"of {len(pooled)} differences to the exact networks, over {len(NETWORKS)} networks and paired by image, "
        f"{better} are surely lower, {worse} surely higher and the others undecided.",
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS},
            "level": options.level,
            "data": options.data,
            "samples": SAMPLES[options.level],
            "attacks": list(attacked),
            "substitute": vars(settings),
            "bootstrap": RECORD,
        },
        figures(rows, "networks_black_box"),
    )


def _published(victim: str, quantity: str) -> float | None:
    """DA's rate on Ax-FPM less its 100 % on the exact network, for the smallest perturbations."""
    attack = quantity.removesuffix(f"{SMALLEST}{PAIRED}")
    if attack == quantity or victim not in table4.PUBLISHED:
        return None
    number = table4.PUBLISHED[victim].get(attack)
    return None if number is None else number - 100


def _limit(victim: str, quantity: str) -> float | None:
    return 0.0 if quantity.endswith(PAIRED) else None


CLAIMED = Claimed(_published, _limit)
