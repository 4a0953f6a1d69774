"""Hyperparameters of attacks: one table for ranges, messages and help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_eval import ATTACKS, attack
from cnn_eval.attacks.attack_registry import attack_class, hyperparameter_kinds
from cnn_eval.attacks.shared.hyperparameters import Range, hyperparameter_table

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "key", "value", "condition"),
    [
        ("fgsm", "grid", 0, "grid >= 1"),
        ("fgsm", "largest", 1.5, "0 < largest <= 1"),
        ("pgd", "steps", 0, "steps >= 1"),
        ("pgd", "relative_step", 0.0, "0 < relative_step <= 2"),
        ("pgd", "relative_step", 2.5, "0 < relative_step <= 2"),
        ("pgd", "seed", -1, "0 <= seed <= 2**64 - 1"),
        ("cw", "confidence", -1.0, "confidence >= 0"),
        ("cw", "stepsize", 0.0, "stepsize > 0"),
        ("deepfool", "candidates", 1, "candidates >= 2"),
        ("deepfool", "overshoot", -0.1, "overshoot >= 0"),
        ("ddn", "gamma", 1.0, "0 < gamma < 1"),
        ("jsma", "theta", 0.0, "-1 <= theta <= 1 and theta != 0"),
        ("jsma", "theta", -1.5, "-1 <= theta <= 1 and theta != 0"),
        ("lsa", "r", 2.5, "0 <= r <= 2"),
        ("lsa", "adaptation", 0.5, "adaptation >= 1"),
        ("boundary", "step_adaptation", 1.0, "step_adaptation > 1"),
        ("boundary", "source_step", 0.0, "source_step > 0"),
        ("hopskipjump", "steps", 0, "steps >= 1"),
        ("hopskipjump", "seed", 2**64, "0 <= seed <= 2**64 - 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, key: str, value: float, condition: str) -> None:
    message = f"{name}: {condition} must hold, but got {value}; choose another value."
    for build in (lambda: attack(name, **{key: value}), lambda: attack_class(name)(**{key: value})):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            build()


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_every_hyperparameter_has_a_meaning_and_a_default_in_range(name: str) -> None:
    rows = hyperparameter_table(attack_class(name))
    assert [row.name for row in rows] == list(attack(name).__dict__)
    assert hyperparameter_kinds(name) == {row.name: type(row.default) for row in rows}
    for row in rows:
        assert row.meaning
        assert row.range.holds(row.default)
        if row.kind is not bool:
            assert row.name in row.range.condition(row.name)
            assert not row.range.holds(float("nan"))


def test_ranges_read_as_conditions() -> None:
    assert Range(at_least=1).condition("n") == "n >= 1"
    assert Range(above=0).condition("x") == "x > 0"
    assert Range(above=0, below=1).condition("x") == "0 < x < 1"
    assert Range(at_most=2).condition("x") == "x <= 2"
    assert Range(nonzero=True).condition("x") == "x != 0"
    assert Range().condition("x") == ""


def test_attacks_are_listed_without_loading_torch_or_foolbox() -> None:
    code = (
        "import sys; from cnn_eval.attacks.attack_registry import ATTACKS; from cnn_eval.attacks.shared.attack_modes "
        "import Mode; print(len(ATTACKS), {'torch', 'foolbox'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"{len(ATTACKS)} set()\n"


def test_the_name_in_the_registry_is_the_name_of_the_class() -> None:
    assert all(attack_class(name).name == name for name in ATTACKS)
