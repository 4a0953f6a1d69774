"""Own study: DA tables 3 and 6 on two AlexNets of different training, as study several_networks does for LeNet-5."""

from __future__ import annotations

from collections.abc import Mapping

from studies.frame.study import StudyOptions, StudyResult
from studies.own.networks.several_networks import TransferStudy, limit
from studies.paper import table3, table6
from studies.rows.attack_rows import PUBLISHED_NAMES
from studies.rows.further_victims import ALL_LAYERS
from studies.rows.network_transfers import SMALLEST
from studies.rows.over_networks import Claimed
from studies.rows.sampled_rows import LOSS

TITLE = "transfer, accuracy and confidence over two AlexNets of different training"
SOURCE = "own; DA tables 3 and 6"
TOLERANCE = 0.1
NETWORKS = ("alexnet", "alexnet_smooth")
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
    study = TransferStudy("several_alexnets", NETWORKS, ATTACKS, SAMPLES, CLEAN, FURTHER, CLAIMED, _AXFPM)
    return study.run(options)


def _published(victim: str, quantity: str) -> float | None:
    if victim not in _AXFPM:
        return None
    attack, _, kind = quantity.partition(", ")
    if kind == SMALLEST:
        return table3.PUBLISHED.get(attack)
    numbers = table6.PUBLISHED["alexnet"]
    return numbers["Approximate (DA)"] - numbers["Float32"] if quantity == LOSS else None


CLAIMED = Claimed(_published, limit)
