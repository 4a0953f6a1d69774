"""Golden digests: stores are keyed by them, so no change of the code may change one.

`design_digests.json` holds {label: [digest, cost_digest]}. It was written by the code before designs and placements
were split into modules. A value that changes invalidates every stored score and belongs in the changelog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circuits import NAMED, AdderCell, Design, netlist_from_verilog

GOLDEN: dict[str, list[str]] = json.loads(Path(__file__).with_name("design_digests.json").read_text(encoding="utf-8"))
OWN = AdderCell("own", "01110010", "00011011", transistors=9)
PRICED = AdderCell("priced", "10110001", "01001101", delay_ps=1.25, energy_fj=0.5, area_um2=2.0)
CIRCUIT = """
module circuit(input signed [2:0] a, input signed [2:0] b, output signed [5:0] p);
  assign p = a * b + {5'b0, a[0] & b[1]};
endmodule
"""
TOPOLOGIES = ("ripple_array", "carry_save_array", "wallace", "dadda", "booth")
COLUMNS = {"columns": [OWN] * 3 + ["ama1", "exact", "ama2", "exact"]}


def placements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kind of placement in a 4 x 3 array, with the fields that it needs."""
    cells = ("exact", "ama1", "ama2", "ama5", OWN, PRICED)
    yield "uniform", {"placement": OWN}
    yield "columns", {"placement": COLUMNS}
    yield "rows", {"placement": {"rows": ["exact", "ama3", PRICED, "ama5", "ama1"]}}
    yield "grid", {"placement": {"grid": [[cells[(2 * i + j) % 6] for j in range(3)] for i in range(5)]}}
    yield "tiles", {"placement": {"tiles": [["ama5", OWN], ["exact", "ama4"]]}, "tile": 2}


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every other field, one at a time and in pairs that matter, of a float and of an integer design."""
    integer = {"format": None, "width": (4, 3), "placement": COLUMNS}
    for ports in ("psc", "pcs", "scp", "spc", "cps", "csp"):
        yield f"ports {ports}", {**integer, "ports": ports}
    for half_adders in ("cell", "exact"):
        for final_adder in ("exact", "cell"):
            policies = {"half_adders": half_adders, "final_adder": final_adder, "topology": "carry_save_array"}
            yield f"half adders {half_adders}, final adder {final_adder}", {**integer, **policies}
    for columns in (1, 5):
        yield f"truncated {columns}", {**integer, "truncate_columns": columns}
        yield f"truncated {columns}, booth", {**integer, "truncate_columns": columns, "topology": "booth"}
        tiled = {"truncate_columns": columns, "tile": 2, "placement": "exact", "topology": "carry_save_array"}
        yield f"truncated {columns}, tiles", {**integer, **tiled}
    for topology in TOPOLOGIES:
        yield f"signed {topology}", {**integer, "signed": True, "topology": topology, "placement": "ama1"}
    for name in ("float32", "tf32", "bfloat16", "float16", "fp8_e5m2", "fp8_e4m3", "e5m7", "e8m3"):
        yield f"format {name}", {"format": name, "placement": "ama4"}
    float_rules = {"format": "e5m4", "placement": {"rows": ["ama1"] * 3 + ["exact"] * 3}}
    for rounding in ("truncate", "nearest_even"):
        for normalization in ("full", "released"):
            for subnormals in ("flush", "ieee"):
                rules = {"rounding": rounding, "normalization": normalization, "subnormals": subnormals}
                yield f"{rounding} {normalization} {subnormals}", {**float_rules, **rules}
    circuit = netlist_from_verilog(CIRCUIT, where="circuit.v")
    yield "own circuit", {"netlist": circuit}
    yield "own circuit, unsigned", {"netlist": circuit, "signed": False}
    yield "own float circuit", {"netlist": Design(format="e5m4", placement="ama2").netlist(), "format": "e5m4"}


def catalogue() -> dict[str, dict[str, Any]]:
    placed = {
        f"{topology} {kind}": {"format": None, "width": (4, 3), "topology": topology, **fields}
        for topology in TOPOLOGIES
        for kind, fields in placements()
    }
    return {**placed, **dict(variants())}


DESIGNS = catalogue()


def test_the_golden_file_lists_these_designs() -> None:
    assert list(GOLDEN) == [*(f"named {name}" for name in NAMED), *DESIGNS]
    assert len(DESIGNS) >= 50


@pytest.mark.parametrize("name", NAMED)
def test_named_designs_keep_their_digests(name: str) -> None:
    assert [NAMED[name].digest, NAMED[name].cost_digest] == GOLDEN[f"named {name}"]


@pytest.mark.parametrize("label", DESIGNS)
def test_designs_keep_their_digests(label: str) -> None:
    design = Design(**DESIGNS[label])
    assert [design.digest, design.cost_digest] == GOLDEN[label]
    if design.circuit is None:
        assert Design.from_toml(design.to_toml()).cost_digest == design.cost_digest
