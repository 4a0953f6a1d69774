"""Rows of the tables of transfer: crafted on the exact network, tried on networks through designs and the control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.control import CONTROL
from cnn_eval.scenarios.scenario_runs import transfer_attack
from studies.frame.study import Row, StudyResult
from studies.rows.attack_rows import PUBLISHED_NAMES, Setting, rate_row, rates_verdict, within_budget

Published = Mapping[str, Mapping[str, float]]
"""Victim -> attack, as DA names it -> percent."""


@dataclass(frozen=True)
class Rate:
    """`fooled` of `eligible` examples of `attack`, as DA names it, fool `victim`; `limit`: the budget in mode "budget";
    `split`: what the fooled take them for, where that is known."""

    victim: str
    attack: str
    mode: Mode
    limit: str
    fooled: int
    eligible: int
    split: str = ""

    @property
    def quantity(self) -> str:
        """As rows name it."""
        return f"{self.attack}, {'smallest' if self.mode == 'minimum' else self.limit}"

    @property
    def spends(self) -> bool:
        """Whether the examples use a budget up; a search for the smallest stops short of it in mode "budget" too."""
        return self.mode == "budget" and self.limit.startswith("linf")

    def row(self, published: Published, *, subject: str | None = None) -> Row:
        """Beside the published rate of its victim and attack, if any."""
        number = published.get(self.victim, {}).get(self.attack)
        return rate_row(subject or self.victim, self.quantity, (self.fooled, self.eligible), number, self.split)


def rates(setting: Setting, attacks: Mapping[str, str] | None = None) -> list[Rate]:
    """`attacks` (our name -> DA's, by default all) in both modes on every victim, victim by victim.

    A search for the smallest perturbation is run once, see `within_budget`.
    """
    all_rates: list[Rate] = []
    clean = {victim: predict(network, setting.images) for victim, network in setting.victims.items()}
    for key, attack_name in (attacks or PUBLISHED_NAMES).items():
        task = setting.task(key, "minimum")
        known = {victim: classes[: len(task.images)] for victim, classes in clean.items()}
        smallest = transfer_attack(task, setting.base, setting.victims, clean=known)
        budget = setting.budgets[task.attack.norm]
        if task.attack.norm == "linf":
            spent = transfer_attack(setting.task(key, "budget"), setting.base, setting.victims, clean=known)
            within = {victim: (each.outcome.fooled, int(each.outcome.eligible.sum())) for victim, each in spent.items()}
        else:
            within = {victim: within_budget(task, each, budget) for victim, each in smallest.items()}
        limit = f"{task.attack.norm} <= {budget:.3g}"
        for victim, each in smallest.items():
            outcome = each.outcome
            split = f"{int(outcome.same_wrong.sum())} the same class, {int(outcome.other_wrong.sum())} another"
            eligible = int(outcome.eligible.sum())
            all_rates.append(Rate(victim, attack_name, "minimum", limit, outcome.fooled, eligible, split))
            all_rates.append(Rate(victim, attack_name, "budget", limit, *within[victim]))
    return sorted(all_rates, key=lambda rate: list(setting.victims).index(rate.victim))


def share(rates: Iterable[Rate]) -> float | None:
    """Percent of the examples of several rates that transfer; None where none is eligible."""
    several = list(rates)
    eligible = sum(rate.eligible for rate in several)
    return 100 * sum(rate.fooled for rate in several) / eligible if eligible else None


def summary(found: Sequence[Rate], published: Published) -> str:
    """The rates on the published victims and on the control, in words."""

    def percent(chosen: Iterable[Rate]) -> str:
        value = share(chosen)
        return "none of none" if value is None else f"{value:.0f} %"

    smallest, spent = (
        (
            percent(rate for rate in several if rate.victim in published and rate.victim != "exact"),
            percent(rate for rate in several if rate.victim == CONTROL),
        )
        for several in (
            [rate for rate in found if rate.mode == "minimum"],
            [rate for rate in found if rate.spends],
        )
    )
    spending = ", ".join(dict.fromkeys(rate.attack for rate in found if rate.spends))
    return (
        f"Smallest norm, just past the decision boundary: {smallest[0]} fool the victims, {smallest[1]} the control, "
        f"which has other weights and no noise; spending a budget ({spending}): {spent[0]} and {spent[1]}. "
    )


def result(setting: Setting, published: Published, more: str = "") -> StudyResult:
    """The result of a study that tries every attack in both modes on one network; `more` ends the reason."""
    all_rates = rates(setting)
    rows = [rate.row(published) for rate in all_rates]
    verdict, counts = rates_verdict([row for row in rows if row.subject not in ("exact", CONTROL)])
    return StudyResult(rows, verdict, summary(all_rates, published) + counts + more, setting.record())
