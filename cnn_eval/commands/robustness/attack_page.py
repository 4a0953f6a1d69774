"""The page and the kept examples of the command `attack`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cnn_eval.commands.robustness.attack_report import AttackResult
from cnn_eval.commands.robustness.example_pictures import class_names, class_words, drawable, picture
from cnn_eval.commands.robustness.kept_examples import save_examples
from cnn_eval.commands.robustness.page_options import command_of
from cnn_eval.commands.robustness.robustness_page import (
    Curves,
    PageTable,
    Picture,
    RobustnessPage,
    Series,
    Verdict,
    percent,
    write_page,
)
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE
from cnn_eval.scenarios.success import NOISE

__all__ = ["attack_page", "keep_attacks"]

_PICTURES = 3
"""Pictures of each attack on each network."""
_SIGNIFICANT = 0.05
_WHERE = {
    "transfer": "crafted on the exact network and tried on each network",
    "black-box": "crafted on a substitute for each network and tried on that network",
    "white-box": "crafted on each network through its own gradients",
}


def attack_page(
    arguments: argparse.Namespace,
    results: Sequence[AttackResult],
    rows: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    images: torch.Tensor,
    labels: torch.Tensor,
    victims: Mapping[str, nn.Module],
    budget: tuple[float, str] | None,
) -> None:
    """Writes --report: `rows` and `pairs` as `result_row` and `paired_rows` give them, `images` [N, C, H, W]."""
    size = f"{budget[0]:.3g} ({budget[1]})" if budget else "the smallest that fools"
    settings = (result.attack.settings(mode=arguments.mode, epsilon=budget and budget[0]) for result in results)
    attacks = dict.fromkeys(_words(each) for each in settings)
    write_page(
        arguments.report,
        RobustnessPage(
            title=f"Attacks on {arguments.model}: {', '.join(dict.fromkeys(row['attack'] for row in rows))}",
            question={
                "asked": f"on which share of {len(images)} images does each attack fool each network?",
                "network": f"{arguments.model}, {arguments.layers} layers through each design",
                "images": f"the first {len(images)} test images ({arguments.data})",
                "examples": _WHERE[arguments.scenario],
                "perturbation": f"{results[0].attack.norm}, {size}",
                "attacks": "; ".join(attacks),
                "command": command_of(arguments),
            },
            verdicts=_verdicts(rows, pairs),
            tables=_tables(rows, pairs),
            curves=_curves(results) if arguments.mode == "minimum" else [],
            pictures=_pictures(arguments, results, images, labels, victims, size) if drawable(images) else [],
            notes=[
                f"{CONTROL_NOTE}.",
                "Intervals: Wilson, 95 %. Pairs: McNemar's exact test on the images that count for both networks, "
                "two-sided, not corrected for the number of pairs.",
                "An attack that fails proves no robustness, since another may succeed: the command audit "
                "looks for one.",
            ],
        ),
    )


def _words(settings: Mapping[str, Any]) -> str:
    """Settings of an attack as text: "pgd: norm linf, steps 40"."""
    rest = ", ".join(f"{key} {value}" for key, value in settings.items() if key != "attack" and value is not None)
    return f"{settings['attack']}: {rest}"


def _verdicts(rows: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Each network beside the first one: the exact network where it is attacked too, else the control."""
    names = list(dict.fromkeys(row["design"] for row in rows))
    others = [name for name in names if name.startswith("exact (")] or [name for name in names if name == CONTROL]
    verdicts = []
    for name in names:
        if name in others:
            continue
        reasons, signs = [], set()
        for pair in pairs:
            if {pair["one"], pair["other"]} != {name, others[0]} or not pair["samples"]:
                continue
            mine, theirs = pair["only_one"], pair["only_other"]
            if pair["one"] != name:
                mine, theirs = theirs, mine
            sign = 0 if pair["p"] >= _SIGNIFICANT else 1 if theirs > mine else -1
            signs.add(sign)
            reasons.append(
                f"{pair['attack']}: of {pair['samples']} images {mine} fool only {name} and {theirs} only {others[0]}, "
                f"p = {pair['p']:.2g}"
            )
        sentence = {
            frozenset({1}): f"is fooled less often than {others[0]} by every attack.",
            frozenset({-1}): f"is fooled more often than {others[0]} by every attack.",
            frozenset({0}): f"cannot be told from {others[0]} by these attacks.",
            frozenset(): "has no image to be judged by.",
        }.get(frozenset(signs), f"is fooled less or more often than {others[0]}, depending on the attack.")
        good = True if signs == {1} else False if signs == {-1} else None
        verdicts.append(Verdict(name, sentence, reasons, good))
    return verdicts


def _tables(rows: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> list[PageTable]:
    counts = ("same_wrong", "other_wrong", "not_fooled")
    rates = [
        [
            row["design"],
            row["attack"],
            *percent(row["rate"], row["interval"]),
            (f"{row['fooled']} / {row['eligible']}", row["fooled"]),
            *((str(row[key]), row[key]) for key in counts),
        ]
        for row in rows
    ]
    noises = [
        [
            row["design"],
            row["attack"],
            *(("" if (value := row["noise_median"][key]) is None else f"{value:.3g}", value) for key in NOISE),
        ]
        for row in rows
    ]
    differences = [
        [
            pair["one"],
            pair["other"],
            pair["attack"],
            *((str(pair[key]), pair[key]) for key in ("samples", "only_one", "only_other")),
            (f"{pair['p']:.2g}" if pair["samples"] else "none shared", pair["p"]),
        ]
        for pair in pairs
    ]
    more = ("fooled / of", "source's\nwrong class", "other\nclass", "not\nfooled")
    heads = ["design", "attack", "fooled\n%", "95 %\n(Wilson)", *more]
    return [
        PageTable("rates", "Share of images fooled", heads, rates),
        PageTable(
            "pairs", "Pair by pair", ["one", "other", "attack", "images", "only one", "only other", "p"], differences
        ),
        PageTable(
            "noise", "Median noise of what fooled", ["design", "attack", "L0", "L2", "Linf", "MSE", "PSNR\ndB"], noises
        ),
    ]


def _curves(results: Sequence[AttackResult]) -> list[Curves]:
    """For each attack the share of images that perturbations up to a size fool: one step an image."""
    charts = []
    for attack in dict.fromkeys(result.attack for result in results):
        series = []
        for _, name, attacked in (result for result in results if result.attack is attack):
            eligible = int(attacked.outcome.eligible.sum())
            if not eligible or attack.norm not in attacked.outcome.noise:
                continue
            sizes = attacked.outcome.noise[attack.norm][attacked.outcome.success].sort().values.tolist()
            shares = [100 * k / eligible for k in range(len(sizes) + 1)]
            end = 1.05 * max(sizes, default=1.0)  # the last step shows how high it is
            series.append(Series(name, [0.0, *sizes, end], [*shares, shares[-1]], dashed=name == CONTROL))
        if series:
            charts.append(
                Curves(attack.name, f"{attack.norm} size of the perturbation", "images fooled [%]", series, "steps")
            )
    return charts


def _pictures(
    arguments: argparse.Namespace,
    results: Sequence[AttackResult],
    images: torch.Tensor,
    labels: torch.Tensor,
    victims: Mapping[str, nn.Module],
    size: str,
) -> list[Picture]:
    names = class_names(arguments)
    pictures = []
    for attack, name, attacked in results:
        chosen = attacked.outcome.success.nonzero()[:_PICTURES, 0]
        if not len(chosen):
            continue
        seen = predict(victims[name], attacked.crafted.adversarial[chosen])
        for k, found in zip(chosen.tolist(), seen.tolist(), strict=True):
            length = float(attacked.outcome.noise[attack.norm][k]) if attack.norm in attacked.outcome.noise else None
            pictures.append(
                picture(
                    images[k],
                    attacked.crafted.adversarial[k],
                    classes=f"{class_words(names, int(labels[k]))}, taken for {class_words(names, found)}",
                    caption=f"{attack.name} on {name}, image {k}; {attack.norm} budget: {size}"
                    + ("" if length is None else f"; {attack.norm} {length:.3g}"),
                )
            )
    return pictures


def keep_attacks(
    arguments: argparse.Namespace,
    results: Sequence[AttackResult],
    images: torch.Tensor,
    labels: torch.Tensor,
    budget: tuple[float, str] | None,
) -> None:
    """Writes --save: examples by attack, and by network where each has its own ("pgd/heap")."""
    shared = arguments.scenario == "transfer"
    examples, fooled = {}, {}
    for attack, name, attacked in results:
        examples[attack.name if shared else f"{attack.name}/{name}"] = attacked.crafted.adversarial
        fooled[f"{attack.name}/{name}"] = attacked.outcome.success
    epsilon = budget[0] if budget else None
    record = {
        "command": command_of(arguments),
        "scenario": arguments.scenario,
        "mode": arguments.mode,
        "epsilon": epsilon,
        "attacks": [
            attack.settings(mode=arguments.mode, epsilon=epsilon) for attack in dict.fromkeys(r.attack for r in results)
        ],
    }
    save_examples(arguments.save, images, labels, examples, fooled, record)
