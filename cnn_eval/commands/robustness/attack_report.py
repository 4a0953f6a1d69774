"""What the command `attack` prints: rates, noise, differences between networks, notes, pictures."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch

from circuits.support.cli import say, table
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.choices import BACKWARD
from cnn_eval.commands.output import print_titled, span
from cnn_eval.examples.image_grid import save_grid
from cnn_eval.scenarios.control import CONTROL_NOTE
from cnn_eval.scenarios.scenario_runs import Attacked
from cnn_eval.scenarios.substitute import Substitute
from cnn_eval.scenarios.success import NOISE, paired


class AttackResult(NamedTuple):
    """The outcome of one attack on the network called `network`."""

    attack: Attack
    network: str
    attacked: Attacked


def note(text: str) -> None:
    """Prints a note on standard error."""
    say(f"note: {text}", file=sys.stderr)


def report_failures(results: list[AttackResult], labels: torch.Tensor) -> None:
    """Prints a note on every attack that fooled nothing; ValueError where no sample at all is eligible."""
    examined: set[int] = set()
    reasons = []
    for attack, name, attacked in results:
        crafted = attacked.crafted
        if id(crafted) not in examined:
            examined.add(id(crafted))
            right = crafted.clean_class == labels
            fooled = int((right & (crafted.class_ != labels)).sum())
            if crafted.damage:
                note(f"{crafted.damage} It was crafted again.")
            if crafted.unstarted:
                note(f"{attack.name} found no starting point for {crafted.unstarted} of {int(right.sum())} images")
            if not fooled:
                reasons.append(f"{attack.name} never fooled the network it was crafted on ({int(right.sum())} images)")
        if fooled and not bool(attacked.outcome.eligible.any()):
            reasons.append(f"{name} classifies none of the samples correctly that {attack.name} succeeded on")
    for reason in dict.fromkeys(reasons):
        note(reason)
    if all(attacked.outcome.rate is None for _, _, attacked in results):
        raise ValueError(
            f"a sample must be eligible, but none is: {'; '.join(dict.fromkeys(reasons))}; "
            "give more samples, a larger budget or another attack."
        )


def result_row(
    result: AttackResult,
    identities: Mapping[str, dict[str, Any]],
    substitutes: Mapping[str, Substitute],
) -> dict[str, Any]:
    """The row of one attack on one network, JSON-ready."""
    attack, name, attacked = result
    outcome = attacked.outcome
    row = {
        **identities.get(name, {"design": name, "digest": None}),
        "attack": attack.name,
        "fooled": outcome.fooled,
        "eligible": int(outcome.eligible.sum()),
        "rate": outcome.rate,
        "interval": outcome.interval,
        "same_wrong": int(outcome.same_wrong.sum()),
        "other_wrong": int(outcome.other_wrong.sum()),
        "not_fooled": int(outcome.eligible.sum()) - outcome.fooled,
        "unstarted": attacked.crafted.unstarted,
        "reused": attacked.crafted.reused,
        "noise_median": {key: outcome.median_noise(key) for key in NOISE},
        "noise_mean": {key: outcome.mean_noise(key) for key in NOISE},
    }
    if name in substitutes:
        row |= {"queries": substitutes[name].queries, "agreement": substitutes[name].agreement}
    return row


def paired_rows(results: list[AttackResult]) -> list[dict[str, Any]]:
    """One row for every two networks under the same attack, on the samples that are eligible for both."""
    rows = []
    for (attack, one, first), (same, other, second) in combinations(results, 2):
        if attack is same:
            difference = paired(first.outcome, second.outcome)
            rows.append(
                {
                    "attack": attack.name,
                    "one": one,
                    "other": other,
                    **dataclasses.asdict(difference),
                    "p": difference.p_value,
                }
            )
    return rows


def print_tables(
    arguments: argparse.Namespace,
    rows: list[dict[str, Any]],
    pairs: list[dict[str, Any]],
    count: int,
    budget: tuple[float, str] | None,
) -> int:
    """Prints the rates, the differences pair by pair and the noise."""
    counts = ["fooled / of", "fooled %", "95 % (Wilson)"]
    if arguments.scenario != "white-box":
        counts += ["same", "other", "not"]
    more = ["queries"] if arguments.scenario == "black-box" else []
    rates = table("design", "attack", *counts, *more, keys=2, right=(*counts, *more))
    headings = ("L0", "L2", "Linf", "MSE", "PSNR dB")
    noises = table("noise (median)", "attack", *headings, keys=2, right=headings)
    for row in rows:
        name = row["design"].replace(", ", "\n")
        rate = "none eligible" if row["rate"] is None else f"{100 * row['rate']:.1f}"
        interval = "" if row["rate"] is None else span(row["interval"], digits=1)
        cells = [f"{row['fooled']} / {row['eligible']}", rate, interval]
        cells += [str(row[key]) for key in ("same_wrong", "other_wrong", "not_fooled")]
        rates.add_row(name, row["attack"], *cells[: len(counts)], *(str(row[key]) for key in more))
        medians = (row["noise_median"][key] for key in NOISE)
        noises.add_row(name, row["attack"], *("" if value is None else f"{value:.3g}" for value in medians))
    where = {
        "transfer": "crafted on the exact network",
        "black-box": "crafted on a substitute for each network",
        "white-box": f"crafted on each network, gradient {arguments.backward or BACKWARD[0]}",
    }[arguments.scenario]
    size = f"budget {budget[0]:.3g} ({budget[1]})" if budget else "smallest perturbation"
    white = arguments.scenario == "white-box"
    eligible = (
        "each network classifies correctly" if white else "the networks classify correctly and that fool the source"
    )
    split = "" if white else "\nsame, other: the source's wrong class, or another."
    print_titled(
        f"{arguments.model}, {arguments.layers} layers through the design, {count} {arguments.data} images, {size}, "
        f"{where}.\nOf samples that {eligible}; {CONTROL_NOTE}.{split}",
        rates,
    )
    counts = ["of", "only one", "only other", "p"]
    differences = table("one", "other", "attack", *counts, keys=3, right=counts)
    for pair in pairs:
        names = (pair[key].replace(", ", "\n") for key in ("one", "other"))
        cells = [str(pair[key]) for key in ("samples", "only_one", "only_other")]
        differences.add_row(*names, pair["attack"], *cells, f"{pair['p']:.2g}" if pair["samples"] else "none shared")
    print_titled(
        "\nPair by pair, of the samples that count for both: how many fool only one, and p of McNemar's exact test\n"
        "(two-sided; not corrected for the number of pairs).",
        differences,
    )
    return print_titled("\nNoise of what fooled:", noises)


def draw_grid(path: Path, results: list[AttackResult], images: torch.Tensor, labels: torch.Tensor) -> None:
    """Draws the first examples of each attack that fool a network, for the first network that any of them fools."""
    drawn: dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]] = {}
    for attack, _, attacked in results:
        success = attacked.outcome.success.nonzero()[:, 0]
        if attack.name not in drawn and len(success):
            drawn[attack.name] = (
                images[success],
                attacked.crafted.adversarial[success],
                labels[success],
                attacked.crafted.class_[success],
            )
    if not drawn:
        raise ValueError("an example must fool a network to be drawn, but none does; leave out --grid.")
    save_grid(path, drawn)
