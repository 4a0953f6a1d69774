"""Adversarial attacks behind one face: `attack("pgd", steps=9).run(model, images, labels, mode="budget", epsilon=0.2)`.

One attack a module; hyperparameters are keyword-only fields of a frozen dataclass and go into every record. Most use
Foolbox, the extra `attacks`; it is imported when an attack runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import MappingProxyType

from circuits.errors import DesignError, UnknownNameError, unknown_name
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
    "check_hyperparameter",
    "distances",
    "fooled",
    "hyperparameter_kinds",
]

ATTACKS: Mapping[str, type[Attack]] = MappingProxyType(
    {kind.name: kind for kind in (FGSM, PGD, JSMA, CarliniWagner, DeepFool, LocalSearch, Boundary, HopSkipJump, DDN)}
)


def attack(name: str, **hyperparameters: float) -> Attack:
    """The attack `name` with the given hyperparameters, the others at their defaults.

    Raises UnknownNameError (a ValueError) for an unknown attack, naming the nearest valid names, or an unknown
    hyperparameter, DesignError (a ValueError) for a value of the wrong kind; both list the attack's hyperparameters.
    """
    for key, value in hyperparameters.items():
        check_hyperparameter(name, key)
        if not _is_a(value, hyperparameter_kinds(name)[key]):
            what = _KINDS[hyperparameter_kinds(name)[key]]
            raise DesignError(f"{name}.{key} must be {what}, but got {value!r}; {_listed(name)}.")
    return _attack_class(name)(**hyperparameters)


def hyperparameter_kinds(name: str) -> dict[str, type]:
    """Hyperparameter -> bool, int or float, of the attack `name`; UnknownNameError where there is no such attack."""
    return {field.name: type(field.default) for field in fields(_attack_class(name))}


def check_hyperparameter(name: str, key: str) -> None:
    """Raises UnknownNameError unless the attack `name` has the hyperparameter `key`."""
    if key not in hyperparameter_kinds(name):
        raise UnknownNameError(f"the hyperparameter of {name} must be a known name, but got {key!r}; {_listed(name)}.")


_KINDS: Mapping[type, str] = MappingProxyType({bool: "True or False", int: "an integer", float: "a number"})


def _attack_class(name: str) -> type[Attack]:
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    return ATTACKS[name]


def _is_a(value: object, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, Integral) or (kind is float and isinstance(value, Real) and not math.isnan(value))


def _listed(name: str) -> str:
    """What the attack takes, in words."""
    kind = _attack_class(name)
    each = [f"{field.name} ({_KINDS[type(field.default)]}, by default {field.default})" for field in fields(kind)]
    return f"{name} works in {kind.norm} and takes {', '.join(each)}"
