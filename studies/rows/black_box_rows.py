"""Black-box attacks through substitutes, image by image: each victim has a substitute of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.scenarios.scenario_runs import black_box
from cnn_eval.scenarios.substitute import (
    Substitute,
    SubstituteSettings,
    first_images,
    reinitialised,
    train_substitute,
)
from cnn_eval.scenarios.success import Outcome
from studies.rows.attack_rows import Setting

EXACT = "exact"
"""The victim with which the others are compared."""
FIRST = 150
"""Number of images that an attacker starts from."""
SMALLEST = ", smallest"


@dataclass(frozen=True)
class BlackBox:
    """One attack on every victim through its substitute. `quantity` names the attack with its mode or budget."""

    attack: str
    mode: Mode
    quantity: str
    outcomes: Mapping[str, Outcome]


def substitutes_for(attacks: Setting, settings: SubstituteSettings) -> dict[str, Substitute]:
    """Trains a substitute for the exact network and for each victim, on images that are not attacked.

    All have the victims' architecture and start from the same random weights.
    """
    others, labels = attacks.others
    images = others[first_images(labels, FIRST)]
    untrained = reinitialised(attacks.base, seed=0)
    return {
        name: train_substitute(victim, untrained, images, settings, title=f"substitute for {name}")
        for name, victim in {EXACT: attacks.base, **attacks.victims}.items()
    }


def black_box_attacks(
    attacks: Setting, names: Mapping[str, str], substitutes: Mapping[str, Substitute], spending: Sequence[str]
) -> Iterator[BlackBox]:
    """Yields the attacks, our name -> the paper's, with the smallest perturbations, then `spending` their budget."""
    victims = {EXACT: attacks.base, **attacks.victims}
    for key, attack_name in names.items():
        modes: tuple[Mode, ...] = ("minimum", "budget") if key in spending else ("minimum",)
        for mode in modes:
            task = attacks.task(key, mode)
            limit = SMALLEST if task.epsilon is None else f", linf <= {task.epsilon:g}"
            tried = black_box(task, substitutes, victims)
            outcomes = {name: attacked.outcome for name, attacked in tried.items()}
            yield BlackBox(attack_name, mode, f"{attack_name}{limit}", outcomes)
