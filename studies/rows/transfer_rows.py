"""Rows of the transfer tables: examples crafted on the exact network, evaluated on the victims and the control."""

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
"""Victim -> attack by its name in the paper -> published percentage."""

EXACT = "exact"
"""The victim that is the source itself, its products summed in another order."""
BY_CONSTRUCTION = "true by construction: only examples that fool the exact network count"


@dataclass(frozen=True)
class Rate:
    """The transfer rate of one attack to one victim: `fooled` of `eligible` examples.

    `attack` is the paper's name. `limit` describes the budget of mode "budget". `split` says, where known, how many of
    the fooled examples are assigned the same wrong class as by the source, and how many another.
    """

    victim: str
    attack: str
    mode: Mode
    limit: str
    fooled: int
    eligible: int
    split: str = ""

    @property
    def quantity(self) -> str:
        """The quantity of the rate's row: the attack with its mode or budget."""
        return f"{self.attack}, {'smallest' if self.mode == 'minimum' else self.limit}"

    @property
    def spends(self) -> bool:
        """Whether the attack uses up its budget. A minimum-norm search stops short of it even in mode "budget"."""
        return self.mode == "budget" and self.limit.startswith("linf")

    def row(self, published: Published, *, subject: str | None = None) -> Row:
        """Returns the row of the rate, beside the published rate of its victim and attack if there is one.

        Published rates are compared once, with the smallest perturbations: DA's attacks fool the exact network in 100 %
        of cases, as a search for the smallest perturbation does and a budget does not. Within budgets, JSMA and LSA
        find the very same examples.
        """
        number = published.get(self.victim, {}).get(self.attack) if self.mode == "minimum" else None
        remark = BY_CONSTRUCTION if self.victim == EXACT else self.split
        return rate_row(subject or self.victim, self.quantity, (self.fooled, self.eligible), number, remark)


def rates(setting: Setting, attacks: Mapping[str, str] | None = None) -> list[Rate]:
    """Runs the attacks in both modes and returns their rates on every victim, ordered by victim.

    `attacks` maps our name to the paper's, by default for all attacks. A minimum-norm search serves both modes and runs
    only once (see `within_budget`).
    """
    all_rates: list[Rate] = []
    clean = {victim: predict(network, setting.images) for victim, network in setting.victims.items()}
    for key, attack_name in (attacks or PUBLISHED_NAMES).items():
        task = setting.task(key, "minimum")
        known = {victim: classes[: len(task.images)] for victim, classes in clean.items()}
        smallest = transfer_attack(task, setting.base, setting.victims, clean=known)
        budget = setting.budgets[task.attack.norm]
        if task.attack.norm == "linf":
            spending = transfer_attack(setting.task(key, "budget"), setting.base, setting.victims, clean=known)
            within = {
                victim: (result.outcome.fooled, int(result.outcome.eligible.sum()))
                for victim, result in spending.items()
            }
        else:
            within = {victim: within_budget(task, result, budget) for victim, result in smallest.items()}
        limit = f"{task.attack.norm} <= {budget:.3g}"
        for victim, result in smallest.items():
            outcome = result.outcome
            split = f"{int(outcome.same_wrong.sum())} the same class, {int(outcome.other_wrong.sum())} another"
            eligible = int(outcome.eligible.sum())
            all_rates.append(Rate(victim, attack_name, "minimum", limit, outcome.fooled, eligible, split))
            all_rates.append(Rate(victim, attack_name, "budget", limit, *within[victim]))
    return sorted(all_rates, key=lambda rate: list(setting.victims).index(rate.victim))


def share(rates: Iterable[Rate]) -> float | None:
    """Returns the percentage of examples that transfer, pooled over several rates; None if none is eligible."""
    rate_list = list(rates)
    eligible = sum(rate.eligible for rate in rate_list)
    return 100 * sum(rate.fooled for rate in rate_list) / eligible if eligible else None


def summary(victim_rates: Sequence[Rate], published: Published) -> str:
    """Describes the rates on the published victims and on the control in words."""

    def percent(rates_of_victim: Iterable[Rate]) -> str:
        value = share(rates_of_victim)
        return "none of none" if value is None else f"{value:.0f} %"

    smallest, spent = (
        (
            percent(rate for rate in mode_rates if rate.victim in published and rate.victim != EXACT),
            percent(rate for rate in mode_rates if rate.victim == CONTROL),
        )
        for mode_rates in (
            [rate for rate in victim_rates if rate.mode == "minimum"],
            [rate for rate in victim_rates if rate.spends],
        )
    )
    spending = ", ".join(dict.fromkeys(rate.attack for rate in victim_rates if rate.spends))
    return (
        f"Smallest norm, just past the decision boundary: {smallest[0]} fool the victims, {smallest[1]} the control, "
        f"which has other weights and no noise; spending a budget ({spending}): {spent[0]} and {spent[1]}. "
    )


def result(setting: Setting, published: Published, addition: str = "") -> StudyResult:
    """Returns the result of a study that runs every attack in both modes on one network.

    `addition` is appended to the reason.
    """
    all_rates = rates(setting)
    rows = [rate.row(published) for rate in all_rates]
    verdict, counts = rates_verdict([row for row in rows if row.subject not in (EXACT, CONTROL)])
    return StudyResult(rows, verdict, summary(all_rates, published) + counts + addition, setting.record())
