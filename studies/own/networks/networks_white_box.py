"""Own study: DA figures 8 to 11 on five LeNet-5s: do white-box attacks need more noise on approximate networks?

Noise is compared with the exact network image by image, on those that the attack fools on both. An attack fails to find
small perturbations where its gradient does not fit: of all gradients of a design the best one of each image counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnn_eval.models.registry import weights_record
from studies.frame.study import StudyOptions, StudyResult
from studies.own.networks.several_networks import NETWORKS, figures
from studies.paper import figures8_11
from studies.paper.figures8_11 import BEST, RELEASED, white_box_outcomes, white_box_victims
from studies.rows.over_networks import RECORD, Claimed, Found, differing, found_on_each, over, rows_of, shared

TITLE = "noise of white-box DeepFool and C&W on five LeNet-5s, less exact"
SOURCE = "own; DA figures 8 to 11, section 5.3"
TOLERANCE = 0.1
SLOPED = ("axfpm",)
STRAIGHT = {"quick": (RELEASED,), "default": (RELEASED, "heap"), "full": (RELEASED, "heap")}
FURTHER: Mapping[str, Mapping[str, Sequence[str]]] = {
    "quick": {"matched": (RELEASED,)},
    "default": {"all_layers": (RELEASED,), "matched": (RELEASED, "heap")},
    "full": {"all_layers": (RELEASED,), "matched": (RELEASED, "heap")},
}
ATTACKS = {"quick": ("deepfool",), "default": ("deepfool", "cw"), "full": ("deepfool", "cw")}
SAMPLES = {"quick": 16, "default": 50, "full": 200}
NOISE = ("l2", "psnr")


def run(options: StudyOptions) -> StudyResult:
    """Attacks each network and its victims through their own gradients."""

    def measure(name: str) -> Found:
        attacks, victims = white_box_victims(
            options,
            SAMPLES,
            model=name,
            sloped=SLOPED,
            straight=STRAIGHT[options.level],
            further=FURTHER[options.level],
        )
        found: Found = {}
        for key in ATTACKS[options.level]:
            outcomes = white_box_outcomes(attacks, victims, key)
            exact = outcomes["exact"]
            for victim, outcome in outcomes.items():
                found[victim, f"{key}: fooled"] = shared(outcome.success[outcome.eligible].numpy())
                both = outcome.success & exact.success
                if victim == "exact" or not both.any():
                    continue
                for noise in NOISE:
                    own, reference = (each.noise[noise][both].double().numpy() for each in (outcome, exact))
                    quantity = f"{key}: {noise.upper()} less exact"
                    found[victim, quantity] = differing(own, reference, figures8_11.UNITS[noise])
        return found

    rows = rows_of(found_on_each(options, NETWORKS, measure), CLAIMED)
    texts = [
        f"{row.subject} {row.quantity.partition(':')[0]} {row.measured:+.2f}"
        + (f" ({row.interval[0]:+.2f} .. {row.interval[1]:+.2f})" if row.interval else "")
        for row in rows
        if row.quantity.endswith(f": L2 less exact, {over(NETWORKS)}") and row.subject.endswith(BEST)
    ]
    return StudyResult(
        rows,
        "measured",
        f"L2 less exact of the weakest victims, paired, over {len(NETWORKS)} networks: {', '.join(texts)}.",
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS},
            "level": options.level,
            "data": options.data,
            "samples": SAMPLES[options.level],
            "attacks": list(ATTACKS[options.level]),
            "bootstrap": RECORD,
        },
        figures(rows, "networks_white_box"),
    )


def _published(victim: str, quantity: str) -> float | None:
    """DA's differences, beside the weakest victims of Ax-FPM, once."""
    key, _, kind = quantity.partition(": ")
    if not victim.startswith("axfpm") or not victim.endswith(BEST):
        return None
    noise = kind.removesuffix(" less exact").lower()
    return figures8_11.PUBLISHED.get((key, noise)) if kind.endswith(" less exact") else None


def _limit(victim: str, quantity: str) -> float | None:
    return 0.0 if quantity.endswith(" less exact") else None


CLAIMED = Claimed(_published, _limit)
