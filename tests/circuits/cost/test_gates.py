"""The gate library: defined once, characterised, and known to the readers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import circuits
from circuits import technology
from circuits.cost.cells45 import CORNERS, library_component
from circuits.hdl.cell_gates import KNOWN
from circuits.netlists import gates
from circuits.netlists.gates import EXTRA_GATES, GATES, Gate

LIBRARY = (*GATES.values(), *EXTRA_GATES)


def test_every_gate_of_the_module_is_in_the_library() -> None:
    constants = {value.name for value in vars(gates).values() if isinstance(value, Gate)}
    assert constants == {gate.name for gate in LIBRARY}
    assert len(constants) == len(LIBRARY)


@pytest.mark.parametrize("gate", LIBRARY, ids=lambda gate: gate.name)
def test_every_gate_has_characterised_costs(gate: Gate) -> None:
    """None is estimated: costs are looked up by equality of gates, so a definition that has drifted shows here."""
    assert library_component(gate)
    for corner in CORNERS:
        cost = technology(corner).cost_of(gate)
        assert (cost.name, cost.estimated) == (gate.name, False)


def test_gates_of_the_readers_are_those_of_the_library() -> None:
    assert set(KNOWN.values()) <= set(LIBRARY)


def test_gates_are_defined_in_one_module() -> None:
    """Elsewhere a Gate may be built from a user's data, never written out as a module's constant."""
    folder = Path(circuits.__file__).parent
    definitions = set()
    for path in folder.rglob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Gate":
                definitions.add(path.relative_to(folder).as_posix())
    # behaviour.py defines a placeholder that is no real gate; the cost model refuses it.
    assert definitions == {"netlists/gates.py", "netlists/behaviour.py"}
