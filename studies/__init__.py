"""Studies: one module per published table or figure, and our own; `python -m studies list`.

A study is a module with TITLE, SOURCE and `run(options: StudyOptions) -> StudyResult`, and one line here. It may have a
TOLERANCE for what it gives without an interval, where that depends on the machine (`studies.stored`).
"""

STUDIES = (
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "table7",
    "table8",
    "table9",
    "table10",
    "table11",
    "figure3",
    "figure4",
    "bfloat16_transfer",
    "figures8_11",
    "figure12",
    "figure13",
    "figure15",
    "figure16",
    "wiring",
    "heap",
    "heap_vs_axfpm",
    "margins",
    "audit",
    "cost_validation",
    "search_quality",
    "throughput",
)
"""Modules of this package, in the order of `run all`."""
