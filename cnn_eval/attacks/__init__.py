"""Adversarial attacks behind one interface.

    attack("pgd", steps=9).run(model, images, labels, mode="budget", epsilon=0.2)

Each attack is one module. `attack_registry` lists them, `base` holds what they share, `primitives` the steps that they
are built from. Hyperparameters are keyword-only fields of frozen dataclasses and are part of every record. Most attacks
use Foolbox, from the extra `attacks`; it is imported when such an attack runs.
"""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.attacks.shared.attack_modes": (
            "Mode",
            "Norm",
        ),
        "cnn_eval.attacks.attack_registry": (
            "ATTACKS",
            "attack",
        ),
        "cnn_eval.attacks.shared.base": (
            "Attack",
            "MissingExtraError",
        ),
        "cnn_eval.attacks.boundary": ("Boundary",),
        "cnn_eval.attacks.carlini_wagner": ("CarliniWagner",),
        "cnn_eval.attacks.ddn": ("DDN",),
        "cnn_eval.attacks.deepfool": ("DeepFool",),
        "cnn_eval.attacks.fgsm": ("FGSM",),
        "cnn_eval.attacks.hopskipjump": ("HopSkipJump",),
        "cnn_eval.attacks.jsma": ("JSMA",),
        "cnn_eval.attacks.lsa": ("LocalSearch",),
        "cnn_eval.attacks.pgd": ("PGD",),
        "cnn_eval.attacks.shared.primitives": (
            "distances",
            "fooled",
        ),
    },
)
