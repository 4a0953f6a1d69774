"""Studies: one module per published table or figure, and our own; `python -m studies list`.

A study is a module with TITLE, SOURCE and `run(options: StudyOptions) -> StudyResult`, and one line here.
"""

STUDIES = (
    "table7",
    "table8",
    "table9",
    "heap",
    "heap_vs_axfpm",
    "cost_validation",
    "search_quality",
    "throughput",
)
"""Modules of this package, in the order of `run all`."""
