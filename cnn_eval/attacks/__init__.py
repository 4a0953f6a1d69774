"""Adversarial attacks behind one face: `attack("pgd", steps=9).run(model, images, labels, mode="budget", epsilon=0.2)`.

One attack a module; hyperparameters are keyword-only fields of a frozen dataclass and go into every record. Most use
Foolbox, the extra `attacks`; it is imported when an attack runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.errors import unknown_name
from cnn_eval.attacks.base import Attack, MissingExtraError, Mode, Norm, distances, fooled
from cnn_eval.attacks.boundary import Boundary
from cnn_eval.attacks.carlini_wagner import CarliniWagner
from cnn_eval.attacks.ddn import DDN
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.hopskipjump import HopSkipJump
from cnn_eval.attacks.jsma import JSMA
from cnn_eval.attacks.lsa import LocalSearch
from cnn_eval.attacks.pgd import PGD

__all__ = [
    "ATTACKS",
    "DDN",
    "FGSM",
    "JSMA",
    "PGD",
    "Attack",
    "Boundary",
    "CarliniWagner",
    "DeepFool",
    "HopSkipJump",
    "LocalSearch",
    "MissingExtraError",
    "Mode",
    "Norm",
    "attack",
    "distances",
    "fooled",
]

ATTACKS: Mapping[str, type[Attack]] = MappingProxyType(
    {kind.name: kind for kind in (FGSM, PGD, JSMA, CarliniWagner, DeepFool, LocalSearch, Boundary, HopSkipJump, DDN)}
)


def attack(name: str, **hyperparameters: float) -> Attack:
    """The attack `name` with the given hyperparameters, the others at their defaults.

    Raises UnknownNameError (a ValueError) for an unknown attack or hyperparameter, naming the nearest valid names.
    """
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    kind = ATTACKS[name]
    for key in hyperparameters:
        if key not in kind.__dataclass_fields__:
            raise unknown_name(f"hyperparameter of {name}", key, kind.__dataclass_fields__)
    return kind(**hyperparameters)
