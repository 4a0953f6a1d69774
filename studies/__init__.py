"""Studies: one module per published table or figure, and our own; `python -m studies list`.

A study is a module with TITLE, SOURCE and `run(options: StudyOptions) -> StudyResult`, and one line here. It may have a
TOLERANCE for what it gives without an interval, where that depends on the machine (`studies.frame.stored_results`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STUDIES: Mapping[str, str] = MappingProxyType(
    {
        "table2": "studies.paper.table2",
        "table3": "studies.paper.table3",
        "table4": "studies.paper.table4",
        "table5": "studies.paper.table5",
        "table6": "studies.paper.table6",
        "table7": "studies.paper.table7",
        "table8": "studies.paper.table8",
        "table9": "studies.paper.table9",
        "table10": "studies.paper.table10",
        "table11": "studies.paper.table11",
        "figure3": "studies.paper.figure3",
        "figure4": "studies.paper.figure4",
        "bfloat16_transfer": "studies.paper.bfloat16_transfer",
        "figures8_11": "studies.paper.figures8_11",
        "figure12": "studies.paper.figure12",
        "figure13": "studies.paper.figure13",
        "figure15": "studies.paper.figure15",
        "figure16": "studies.paper.figure16",
        "wiring": "studies.own.wiring",
        "heap": "studies.own.heap",
        "heap_vs_axfpm": "studies.own.heap_vs_axfpm",
        "margins": "studies.own.margins",
        "several_networks": "studies.own.networks.several_networks",
        "several_alexnets": "studies.own.networks.several_alexnets",
        "networks_black_box": "studies.own.networks.networks_black_box",
        "networks_white_box": "studies.own.networks.networks_white_box",
        "networks_audit": "studies.own.networks.networks_audit",
        "robust_search": "studies.own.robust.robust_search",
        "audit": "studies.own.audit",
        "cost_validation": "studies.own.cost_validation",
        "search_quality": "studies.own.search_quality",
        "library": "studies.own.integers.library",
        "integer_networks": "studies.own.integers.integer_networks",
        "mobilenet": "studies.own.mobilenet_agreement",
        "operand_distribution": "studies.own.integers.operand_distribution",
        "layer_search": "studies.own.integers.layer_search",
        "throughput": "studies.throughput.throughput",
    }
)
"""The module of each study by its name, in the order of `run all`."""
