"""Adversarial attacks behind one interface.

    attack("pgd", steps=9).run(model, images, labels, mode="budget", epsilon=0.2)

Each attack is one module. `attack_registry` lists them, `base` holds what they share, `primitives` the steps that they
are built from. Hyperparameters are keyword-only fields of frozen dataclasses and are part of every record. Most attacks
use Foolbox, from the extra `attacks`; it is imported when such an attack runs.
"""
