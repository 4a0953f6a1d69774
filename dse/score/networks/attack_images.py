"""Which robustness scorers can measure a network that is not the package's, and how its examples are crafted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from circuits.errors import missing_package
from cnn_eval.examples.example_sets import EXAMPLE_SETS
from dse.score.networks.network_keys import has_stored_examples
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["attack_refusal", "attacks_are_asked_for", "example_refusal", "recipes"]


def attacks_are_asked_for(settings: ScoreSettings) -> bool:
    """Whether robustness is measured without being named; not where no image is to be attacked."""
    return settings.attack_images > 0


def recipes(names: Sequence[str]) -> dict[str, Any]:
    """How the example sets `names` are crafted, JSON-ready: part of the keys of scores measured on them."""
    sets = {name: EXAMPLE_SETS[name] for name in names}
    return {
        name: [recipe.attack, recipe.mode, dict(recipe.hyperparameters), dict(recipe.epsilon)]
        for name, recipe in sets.items()
    }


def attack_refusal(settings: ScoreSettings) -> str:
    """Why images of these settings cannot be attacked; empty where they can."""
    if settings.network.data in ("embedded", "full"):
        return ""
    from dse.score.networks.scored_networks import evaluation_images

    low, high = map(float, evaluation_images(settings)[0].aminmax())
    if low >= 0 and high <= 1:
        return ""
    return (
        f"attacks need pixels in [0, 1], but those of {settings.dataset} reach from {low:.3g} to {high:.3g}; scale "
        "them, and normalise inside the network"
    )


def example_refusal(settings: ScoreSettings) -> str:
    """Why adversarial examples of these settings are neither stored nor can be crafted; empty where they are."""
    if has_stored_examples(settings):
        return ""
    if find_spec("foolbox") is None:
        return missing_package("crafting adversarial examples", "foolbox", "attacks").rstrip(".")
    return attack_refusal(settings)
