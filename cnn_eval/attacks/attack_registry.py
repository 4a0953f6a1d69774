"""All attacks by name: `attack("pgd", steps=9).run(model, images, labels, mode="budget", epsilon=0.2)`.

A new attack is a module with a subclass of `Attack` and one line in ATTACKS. The table names classes instead of
importing them, so that listing the attacks loads neither torch nor Foolbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from circuits.errors import UnknownNameError, unknown_name
from circuits.support.lazy import named_object
from cnn_eval.attacks.shared.hyperparameters import hyperparameter_table, list_hyperparameters

if TYPE_CHECKING:
    from cnn_eval.attacks.shared.base import Attack

__all__ = ["ATTACKS", "attack", "attack_class", "check_hyperparameter", "hyperparameter_kinds"]

ATTACKS: Mapping[str, str] = MappingProxyType(
    {
        "fgsm": "cnn_eval.attacks.fgsm:FGSM",
        "pgd": "cnn_eval.attacks.pgd:PGD",
        "jsma": "cnn_eval.attacks.jsma:JSMA",
        "cw": "cnn_eval.attacks.carlini_wagner:CarliniWagner",
        "deepfool": "cnn_eval.attacks.deepfool:DeepFool",
        "lsa": "cnn_eval.attacks.lsa:LocalSearch",
        "boundary": "cnn_eval.attacks.boundary:Boundary",
        "hopskipjump": "cnn_eval.attacks.hopskipjump:HopSkipJump",
        "ddn": "cnn_eval.attacks.ddn:DDN",
    }
)
"""Name -> module:class."""


def attack(name: str, **hyperparameters: float) -> Attack:
    """The attack `name` with the given hyperparameters, the others at their defaults.

    Raises UnknownNameError (a ValueError) for an unknown attack, naming the nearest valid names, or an unknown
    hyperparameter, DesignError (a ValueError) for a value of the wrong kind or out of range.
    """
    # Before the constructor, whose TypeError would name no alternatives.
    for key in hyperparameters:
        check_hyperparameter(name, key)
    return attack_class(name)(**hyperparameters)


def attack_class(name: str) -> type[Attack]:
    """The class of the attack `name`; UnknownNameError where there is no such attack."""
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    return named_object(ATTACKS[name])  # type: ignore[no-any-return]


def hyperparameter_kinds(name: str) -> dict[str, type]:
    """Hyperparameter -> bool, int or float, of the attack `name`; UnknownNameError where there is no such attack."""
    return {row.name: row.kind for row in hyperparameter_table(attack_class(name))}


def check_hyperparameter(name: str, key: str) -> None:
    """Raises UnknownNameError unless the attack `name` has the hyperparameter `key`."""
    if key not in hyperparameter_kinds(name):
        raise UnknownNameError(f"unknown hyperparameter {key!r} of {name}; {list_hyperparameters(attack_class(name))}.")
