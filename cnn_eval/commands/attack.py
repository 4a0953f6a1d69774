"""`attack`: networks through designs under attack, beside the exact network and the control."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from circuits.errors import unknown_name
from circuits.support.cli import integer, say, table
from cnn_eval.attacks.attack_modes import Mode
from cnn_eval.attacks.attack_registry import ATTACKS, attack, check_hyperparameter, hyperparameter_kinds
from cnn_eval.attacks.base import Attack
from cnn_eval.commands.common import (
    DEFAULT_BUDGETS,
    add_common,
    chosen_budget,
    identity,
    note_unreplaced,
    print_results,
    print_titled,
    span,
    subjects,
)
from cnn_eval.examples.example_cache import cache_size, default_cache
from cnn_eval.examples.image_grid import require_png, save_grid
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.product_kinds import BACKWARD
from cnn_eval.measure.network_accuracy import base_network, load_test_images, sample_count
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import MODELS
from cnn_eval.models.user_model import check_model
from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE, power_of_two_control
from cnn_eval.scenarios.scenario_runs import SCENARIOS, Attacked, Task, black_box, transfer_attack, white_box
from cnn_eval.scenarios.substitute import Substitute, SubstituteSettings, first_images, reinitialised, train_substitute
from cnn_eval.scenarios.success import NOISE, paired
from cnn_eval.support.seeds import MAX_SEED

SUMMARY = "share of samples on which attacks fool each design, beside the exact network and the control"
EXACT = "exact (torch)"
SAMPLES = 100
QUERY_SEEDS = 150


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    networks = f"network: {', '.join(MODELS)}, or package.module:factory of your own"
    add_common(parser, networks, computing="--compute", samples=SAMPLES)
    parser.add_argument(
        "--attack", nargs="+", required=True, metavar="NAME", dest="attacks", help=f"of {', '.join(ATTACKS)}"
    )
    parser.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default=SCENARIOS[0],
        help="crafted on the exact network, on a substitute that queries the victim, or on the victim itself",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="minimum",
        help="the smallest perturbation that fools, or a budget (--epsilon)",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        help=f"the budget, in the attacks' norm on pixels in [0, 1] (default in --mode budget: {DEFAULT_BUDGETS})",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="hyperparameters",
        help="a hyperparameter of the attacks, or ATTACK.KEY=VALUE of one; repeatable",
    )
    parser.add_argument("--gradient", choices=BACKWARD, help="of the approximate layers, white-box only (default: ste)")
    parser.add_argument("--seed", type=integer(0, MAX_SEED), default=0, help="of attacks that draw, and substitutes")
    parser.add_argument(
        "--rounds", type=integer(0, 10), default=SubstituteSettings().rounds, help="doublings of the substitute's set"
    )
    parser.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images in [0, 1] and labels",
    )
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")
    parser.add_argument("--cache", type=Path, help="folder of crafted examples (default: in the user's cache folder)")
    parser.add_argument("--grid", type=Path, metavar="FILE.png", help="draw clean, adversarial and difference images")


def run(arguments: argparse.Namespace) -> int:
    """Prints a row a design and attack, their noise, and the networks' differences pair by pair."""
    attacks = [_attack(name, arguments) for name in dict.fromkeys(arguments.attacks)]
    _check(arguments, attacks)
    chosen = subjects(arguments, reserved=(CONTROL, EXACT))
    for made in attacks:
        made.require_library()
    base = base_network(arguments.model, arguments.weights)
    white = arguments.scenario == "white-box"
    victims: dict[str, nn.Module] = {} if arguments.scenario == "transfer" else {EXACT: base}
    identities: dict[str, dict[str, Any]] = {}
    for subject in chosen:
        named = identity(subject)
        identities[named["design"]] = named
        victims[named["design"]] = approximate(
            base,
            subject,
            layers=arguments.layers,
            compute=arguments.compute,
            backward=(arguments.gradient or BACKWARD[0]) if white else BACKWARD[0],
        )
    victims[CONTROL] = power_of_two_control(base, layers=arguments.layers)
    images, labels = load_test_images(model=arguments.model, data=arguments.data, folder=arguments.folder, unit=True)
    seeds = QUERY_SEEDS if arguments.scenario == "black-box" else 0
    count = sample_count(arguments.samples, len(images) - seeds, "test images" + (" left to attack" if seeds else ""))
    check_model(base, images, labels)
    left = note_unreplaced(base, arguments.layers, images)
    budget = chosen_budget(arguments, attacks[0].norm, images) if arguments.mode == "budget" else None
    epsilon = budget[0] if budget else None
    cache = arguments.cache or default_cache()
    rest, known = images[count:], labels[count:]
    substitutes = _substitutes(arguments, victims, rest[first_images(known, seeds)]) if seeds else {}
    clean = {} if white or substitutes else {name: predict(net, images[:count]) for name, net in victims.items()}
    results: list[tuple[Attack, str, Attacked]] = []
    for made in attacks:
        task = Task(
            attack=made,
            mode=arguments.mode,
            epsilon=epsilon,
            images=images[:count],
            labels=labels[:count],
            cache=cache,
            progress=True,
        )
        if white:
            found = white_box(task, victims)
        elif substitutes:
            found = black_box(task, substitutes, victims)
        else:
            found = transfer_attack(task, base, victims, clean=clean)
        results += [(made, name, each) for name, each in found.items()]
    _tell(results, labels[:count])
    if arguments.grid is not None:
        _draw(arguments.grid, results, images[:count], labels[:count])
        _note(f"images in {arguments.grid}")
    rows = [_row(*result, identities, substitutes) for result in results]
    pairs = _pairs(results)
    entries, size = cache_size(cache)
    _note(f"crafted examples are kept in {cache}: {entries} entries, {size / 1e6:.1f} MB")
    if arguments.json:
        keys = ("model", "layers", "compute", "samples", "scenario", "mode", "epsilon", "gradient", "seed", "data")
        arguments.epsilon = epsilon
        more = {
            "epsilon_reason": budget[1] if budget else None,
            "attacks": [made.settings(mode=arguments.mode, epsilon=epsilon) for made in attacks],
            "unreplaced": left,
            "paired": pairs,
        }
        return print_results(arguments, rows, more, keys=keys)
    return _print(arguments, rows, pairs, count, budget)


def _attack(name: str, arguments: argparse.Namespace) -> Attack:
    """The attack with the hyperparameters of --set and --seed."""
    kinds = hyperparameter_kinds(name)
    values: dict[str, Any] = {"seed": arguments.seed} if "seed" in kinds else {}
    for text in arguments.hyperparameters:
        key, separator, value = text.partition("=")
        owner, _, key = key.rpartition(".")
        if not separator or not key:
            raise ValueError(f"--set takes KEY=VALUE or ATTACK.KEY=VALUE, but got {text!r}; correct it.")
        if owner and owner not in arguments.attacks:
            raise unknown_name("attack of --set", owner, arguments.attacks)
        if owner in ("", name):
            check_hyperparameter(name, key)
            values[key] = _value(f"{name}.{key}", value, kinds[key])
    return attack(name, **values)


def _value(name: str, text: str, kind: type) -> bool | int | float:
    if kind is bool and text in ("true", "false"):
        return text == "true"
    if kind in (int, float):
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            pass
    what = {bool: "true or false", int: "an integer"}.get(kind, "a number")
    raise ValueError(f"{name} must be {what}, but got {text!r}; correct it.")


def _check(arguments: argparse.Namespace, attacks: list[Attack]) -> None:
    """What argparse cannot see, before any work."""
    if arguments.mode == "minimum" and arguments.epsilon is not None:
        raise ValueError(f"--epsilon is for --mode budget, but the mode is minimum; leave out {arguments.epsilon}.")
    if arguments.epsilon is not None and not 0 <= arguments.epsilon < math.inf:
        raise ValueError(f"--epsilon must be a number of at least 0, but is {arguments.epsilon}; give another.")
    norms = {made.norm for made in attacks}
    if arguments.mode == "budget" and len(norms) > 1:
        raise ValueError(
            f"attacks under one budget must have one norm, but have {', '.join(sorted(norms))}; run them apart."
        )
    if arguments.gradient and arguments.scenario != "white-box":
        raise ValueError(f"--gradient is for --scenario white-box, but that is {arguments.scenario}; leave it out.")
    if arguments.grid is not None:
        require_png(arguments.grid)


def _substitutes(
    arguments: argparse.Namespace, victims: Mapping[str, nn.Module], first: torch.Tensor
) -> dict[str, Substitute]:
    """One trained for each victim, all from the same new weights and the same images."""
    untrained = reinitialised(victims[EXACT], seed=arguments.seed)
    settings = SubstituteSettings(rounds=arguments.rounds, seed=arguments.seed)
    return {
        name: train_substitute(victim, untrained, first, settings, title=f"substitute for {name}")
        for name, victim in victims.items()
    }


def _tell(results: list[tuple[Attack, str, Attacked]], labels: torch.Tensor) -> None:
    """Notes on what did not work; ValueError where nothing did, so that no table would say anything."""
    told: set[int] = set()
    reasons = []
    for made, name, found in results:
        crafted = found.crafted
        if id(crafted) not in told:
            told.add(id(crafted))
            right = crafted.clean_class == labels
            fooled = int((right & (crafted.class_ != labels)).sum())
            if crafted.damage:
                _note(f"{crafted.damage} It was crafted again.")
            if crafted.unstarted:
                _note(f"{made.name} found no starting point for {crafted.unstarted} of {int(right.sum())} images")
            if not fooled:
                reasons.append(f"{made.name} never fooled the network it was crafted on ({int(right.sum())} images)")
        if fooled and not bool(found.outcome.eligible.any()):
            reasons.append(f"{name} classifies none of the samples rightly that {made.name} succeeded on")
    for reason in dict.fromkeys(reasons):
        _note(reason)
    if all(found.outcome.rate is None for _, _, found in results):
        raise ValueError(
            f"a sample must be eligible, but none is: {'; '.join(dict.fromkeys(reasons))}; "
            "give more samples, a larger budget or another attack."
        )


def _row(
    made: Attack,
    name: str,
    found: Attacked,
    identities: Mapping[str, dict[str, Any]],
    substitutes: Mapping[str, Substitute],
) -> dict[str, Any]:
    outcome = found.outcome
    row = {
        **identities.get(name, {"design": name, "digest": None}),
        "attack": made.name,
        "fooled": outcome.fooled,
        "eligible": int(outcome.eligible.sum()),
        "rate": outcome.rate,
        "interval": outcome.interval,
        "same_wrong": int(outcome.same_wrong.sum()),
        "other_wrong": int(outcome.other_wrong.sum()),
        "not_fooled": int(outcome.eligible.sum()) - outcome.fooled,
        "unstarted": found.crafted.unstarted,
        "reused": found.crafted.reused,
        "noise_median": {key: outcome.median_noise(key) for key in NOISE},
        "noise_mean": {key: outcome.mean_noise(key) for key in NOISE},
    }
    if name in substitutes:
        row |= {"queries": substitutes[name].queries, "agreement": substitutes[name].agreement}
    return row


def _pairs(results: list[tuple[Attack, str, Attacked]]) -> list[dict[str, Any]]:
    """Every two networks under the same attack, on the samples that are eligible for both."""
    rows = []
    for (made, one, first), (same, other, second) in combinations(results, 2):
        if made is same:
            found = paired(first.outcome, second.outcome)
            rows.append(
                {"attack": made.name, "one": one, "other": other, **dataclasses.asdict(found), "p": found.p_value}
            )
    return rows


def _print(
    arguments: argparse.Namespace,
    rows: list[dict[str, Any]],
    pairs: list[dict[str, Any]],
    count: int,
    budget: tuple[float, str] | None,
) -> int:
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
        "white-box": f"crafted on each network, gradient {arguments.gradient or BACKWARD[0]}",
    }[arguments.scenario]
    size = f"budget {budget[0]:.3g} ({budget[1]})" if budget else "smallest perturbation"
    white = arguments.scenario == "white-box"
    eligible = "each network classifies rightly" if white else "the networks classify rightly and that fool the source"
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


def _draw(path: Path, results: list[tuple[Attack, str, Attacked]], images: torch.Tensor, labels: torch.Tensor) -> None:
    """The first examples of each attack that fool the first network which any fools."""
    drawn: dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]] = {}
    for made, _, found in results:
        success = found.outcome.success.nonzero()[:, 0]
        if made.name not in drawn and len(success):
            drawn[made.name] = (
                images[success],
                found.crafted.adversarial[success],
                labels[success],
                found.crafted.class_[success],
            )
    if not drawn:
        raise ValueError("an example must fool a network to be drawn, but none does; leave out --grid.")
    save_grid(path, drawn)


def _note(text: str) -> None:
    say(f"note: {text}", file=sys.stderr)
