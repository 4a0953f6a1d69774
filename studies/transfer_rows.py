"""Rows of the tables of transfer: crafted on the exact network, tried on networks through designs and the control."""

from __future__ import annotations

from collections.abc import Mapping

from cnn_eval.models import predict
from cnn_eval.scenarios import transfer_attack
from studies.attack_rows import CONTROL, PUBLISHED_NAMES, Setting, rate_row, verdict, within_budget
from studies.study import Row, StudyResult

Published = Mapping[str, Mapping[str, float]]
"""Victim -> attack, as DA names it -> percent."""

REASON = (
    "Examples of the smallest norm lie just past the decision boundary, and many do not transfer, to the control as "
    "little as to axfpm: other weights do it, no noise. Those that spend a budget (FGSM, PGD) nearly all do. "
)


def result(name: str, title: str, source: str, made: Setting, published: Published, more: str = "") -> StudyResult:
    """Every attack in both modes; a search for the smallest perturbation is run once, see `within_budget`."""
    rows: list[Row] = []
    clean = {victim: predict(network, made.images) for victim, network in made.victims.items()}
    for key, shown in PUBLISHED_NAMES.items():
        task = made.task(key, "minimum")
        smallest = transfer_attack(task, made.base, made.victims, clean=clean)
        budgeted = {}
        budget = made.budgets[task.attack.norm]
        if task.attack.norm == "linf":
            spent = transfer_attack(made.task(key, "budget"), made.base, made.victims, clean=clean)
            budgeted = {
                victim: (found.outcome.fooled, int(found.outcome.eligible.sum())) for victim, found in spent.items()
            }
        else:
            budgeted = {victim: within_budget(task, found, budget) for victim, found in smallest.items()}
        limit = f"{task.attack.norm} <= {budget:.3g}"
        for victim, found in smallest.items():
            number = published.get(victim, {}).get(shown)
            outcome = found.outcome
            split = f"{int(outcome.same_wrong.sum())} the same class, {int(outcome.other_wrong.sum())} another"
            counts = (outcome.fooled, int(outcome.eligible.sum()))
            rows.append(rate_row(victim, f"{shown}, smallest", counts, number, split))
            rows.append(rate_row(victim, f"{shown}, {limit}", budgeted[victim], number))
    rows.sort(key=lambda row: list(made.victims).index(row.subject))
    said, counts_text = verdict([row for row in rows if row.subject != CONTROL])
    return StudyResult(name, title, source, rows, said, REASON + counts_text + more, made.record())
