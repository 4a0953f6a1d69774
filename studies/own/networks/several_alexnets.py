"""Own study: DA tables 3 and 6 on two AlexNets of different training, as study several_networks does for LeNet-5."""

from __future__ import annotations

from collections.abc import Mapping

from cnn_eval.models.registry import weights_record
from studies.frame.study import StudyOptions, StudyResult
from studies.frame.verdict_text import KEPT, SELDOM
from studies.own.networks.several_networks import FACTORS, PAIRS, figures, summary
from studies.paper import table3, table6
from studies.rows.attack_rows import PUBLISHED_NAMES, setting
from studies.rows.further_victims import ALL_LAYERS
from studies.rows.network_transfers import CONFIDENT, CONFIDENT_MORE, SMALLEST, clean, transfers
from studies.rows.over_networks import RECORD, Claimed, Found, found_on_each, rows_of
from studies.rows.sampled_rows import LOSS

TITLE = "transfer, accuracy and confidence over two AlexNets of different training"
SOURCE = "own; DA tables 3 and 6"
TOLERANCE = 0.1
NETWORKS = ("alexnet", "alexnet_smooth")
DESIGNS = ("axfpm", "axfpm_released", "heap")
FURTHER: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "quick": {"matched": ("axfpm_released",)},
    "default": {"all_layers": ("axfpm_released",), "matched": ("axfpm_released",)},
    "full": {"all_layers": ("axfpm_released",), "matched": ("axfpm_released", "heap")},
}
_AXFPM = ("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}")
ATTACKS = {
    "quick": ("fgsm", "pgd", "deepfool"),
    "default": ("fgsm", "pgd", "jsma", "deepfool"),
    "full": tuple(PUBLISHED_NAMES),
}
SAMPLES = {"quick": 8, "default": 50, "full": 250}
"""Level full takes enough for at least 100 eligible examples of every attack."""
CLEAN = {"quick": 60, "default": 500, "full": 10_000}


def run(options: StudyOptions) -> StudyResult:
    """Attacks both networks and tries the examples on their victims. Levels quick and default use embedded images."""

    def measure(name: str) -> Found:
        attacks = setting(options, SAMPLES, DESIGNS, model=name, further=FURTHER[options.level])
        return {
            **transfers(attacks, ATTACKS[options.level], factors=FACTORS, pairs=PAIRS),
            **clean(attacks, options, CLEAN[options.level]),
        }

    rows = rows_of(found_on_each(options, NETWORKS, measure), CLAIMED)
    return StudyResult(
        rows,
        "measured",
        summary(rows, NETWORKS, _AXFPM),
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS},
            "level": options.level,
            "data": options.data,
            "samples": SAMPLES[options.level],
            "clean_images": CLEAN[options.level],
            "attacks": list(ATTACKS[options.level]),
            "factors": list(FACTORS),
            "bootstrap": RECORD,
        },
        figures(rows, "several_alexnets"),
    )


def _published(victim: str, quantity: str) -> float | None:
    if victim not in _AXFPM:
        return None
    attack, _, kind = quantity.partition(", ")
    if kind == SMALLEST:
        return table3.PUBLISHED.get(attack)
    numbers = table6.PUBLISHED["alexnet"]
    return numbers["Approximate (DA)"] - numbers["Float32"] if quantity == LOSS else None


def _limit(victim: str, quantity: str) -> float | None:
    if quantity == LOSS:
        return -KEPT
    if quantity == CONFIDENT_MORE or " less " in victim:
        return 0.0
    return None if quantity == CONFIDENT else SELDOM


CLAIMED = Claimed(_published, _limit)
