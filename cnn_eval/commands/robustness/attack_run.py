"""Carries out the command `attack`: checks, networks, attacks, output."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from circuits.errors import unknown_name
from cnn_eval.attacks.attack_registry import attack, check_hyperparameter, hyperparameter_kinds
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.choices import BACKWARD
from cnn_eval.commands.network_subjects import (
    chosen_budget,
    given_images,
    identity,
    integer_settings,
    subject_networks,
    subjects,
)
from cnn_eval.commands.output import print_results
from cnn_eval.commands.robustness.attack_page import attack_page, keep_attacks
from cnn_eval.commands.robustness.attack_report import (
    AttackResult,
    draw_grid,
    note,
    paired_rows,
    print_tables,
    report_failures,
    result_row,
)
from cnn_eval.commands.robustness.page_options import check_page_options
from cnn_eval.examples.example_cache import cache_size, default_cache
from cnn_eval.examples.image_grid import require_png
from cnn_eval.measure.subject_networks import Subject, SubjectNetworks
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from cnn_eval.scenarios.scenario_runs import Task, black_box, transfer_attack, white_box
from cnn_eval.scenarios.substitute import Substitute, SubstituteSettings, first_images, reinitialised, train_substitute

EXACT = "exact (torch)"
QUERY_SEEDS = 150
"""Images that a substitute's training starts from."""


def run_attacks(arguments: argparse.Namespace) -> int:
    """Carries out the command; see `cnn_eval.commands.attack`."""
    attacks = [_attack(name, arguments) for name in dict.fromkeys(arguments.attacks)]
    _check(arguments, attacks)
    chosen = subjects(arguments, reserved=(CONTROL, EXACT))
    for each in attacks:
        each.require_library()
    networks = subject_networks(arguments)
    base = networks.common_exact(chosen)
    white = arguments.scenario == "white-box"
    victims, identities = _victims(arguments, networks, chosen)
    seeds = QUERY_SEEDS if arguments.scenario == "black-box" else 0
    images, labels, count, left = given_images(arguments, base, unit=True, kept=seeds)
    budget = chosen_budget(arguments, attacks[0].norm, images) if arguments.mode == "budget" else None
    epsilon = budget[0] if budget else None
    cache = arguments.cache or default_cache()
    rest, known = images[count:], labels[count:]
    substitutes = _substitutes(arguments, victims, rest[first_images(known, seeds)]) if seeds else {}
    clean = {} if white or substitutes else {name: predict(net, images[:count]) for name, net in victims.items()}
    results: list[AttackResult] = []
    for each in attacks:
        task = Task(
            attack=each,
            mode=arguments.mode,
            epsilon=epsilon,
            images=images[:count],
            labels=labels[:count],
            cache=cache,
            progress=True,
        )
        if white:
            attacked = white_box(task, victims)
        elif substitutes:
            attacked = black_box(task, substitutes, victims)
        else:
            attacked = transfer_attack(task, base, victims, clean=clean)
        results += [AttackResult(each, name, outcome) for name, outcome in attacked.items()]
    report_failures(results, labels[:count])
    if arguments.grid is not None:
        draw_grid(arguments.grid, results, images[:count], labels[:count])
        note(f"images in {arguments.grid}")
    rows = [result_row(result, identities, substitutes) for result in results]
    pairs = paired_rows(results)
    if arguments.report is not None:
        attack_page(arguments, results, rows, pairs, images[:count], labels[:count], victims, budget)
        note(f"page in {arguments.report}")
    if arguments.save is not None:
        keep_attacks(arguments, results, images[:count], labels[:count], budget)
        note(f"examples in {arguments.save}")
    entries, size = cache_size(cache)
    note(f"crafted examples are kept in {cache}: {entries} entries, {size / 1e6:.1f} MB")
    if arguments.format != "table":
        keys = ("model", "layers", "compute", "samples", "scenario", "mode", "epsilon", "backward", "seed", "data")
        arguments.epsilon = epsilon
        more = {
            "epsilon_reason": budget[1] if budget else None,
            "attacks": [each.settings(mode=arguments.mode, epsilon=epsilon) for each in attacks],
            **integer_settings(arguments),
            "unreplaced": left,
            "paired": pairs,
        }
        return print_results(arguments, rows, more, keys=keys)
    return print_tables(arguments, rows, pairs, count, budget)


def _victims(
    arguments: argparse.Namespace, networks: SubjectNetworks, chosen: list[Subject]
) -> tuple[dict[str, nn.Module], dict[str, dict[str, Any]]]:
    """(the networks to attack by name, the control among them; name and digest of those that are designs)."""
    backward = arguments.backward if arguments.backward and arguments.scenario == "white-box" else BACKWARD[0]
    base = networks.common_exact(chosen)
    victims: dict[str, nn.Module] = {} if arguments.scenario == "transfer" else {EXACT: base}
    identities = {row["design"]: row for row in map(identity, chosen)}
    for subject in chosen:
        victims[identity(subject)["design"]] = networks.through(subject, backward=backward)
    victims[CONTROL] = power_of_two_control(networks.float_network or base, layers=arguments.layers)
    return victims, identities


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
    norms = {each.norm for each in attacks}
    if arguments.mode == "budget" and len(norms) > 1:
        raise ValueError(
            f"attacks under one budget must have one norm, but have {', '.join(sorted(norms))}; run them apart."
        )
    if arguments.backward and arguments.scenario != "white-box":
        raise ValueError(f"--backward is for --scenario white-box, but that is {arguments.scenario}; leave it out.")
    if arguments.grid is not None:
        require_png(arguments.grid)
    check_page_options(arguments)


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
