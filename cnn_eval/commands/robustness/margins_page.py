"""The page and the kept examples of the command `margins`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from cnn_eval.audit.verdict_rules import TRANSFERS
from cnn_eval.commands.robustness.example_pictures import class_names, class_words, drawable, picture
from cnn_eval.commands.robustness.kept_examples import save_examples
from cnn_eval.commands.robustness.page_options import command_of
from cnn_eval.commands.robustness.robustness_page import (
    Cell,
    Curves,
    PageTable,
    Picture,
    RobustnessPage,
    Series,
    Verdict,
    percent,
    write_page,
)
from cnn_eval.measure.margin_curves import CURVES, MarginPoint
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE

__all__ = ["keep_margins", "margins_page"]

Examples = Mapping[tuple[str, float], torch.Tensor]
"""(attack, value) -> adversarial images [N, C, H, W]."""
_PUBLISHED = "Published rates (DA tables 2 and 10) are drawn at each curve's first value; their margins are not stated."


def margins_page(
    arguments: argparse.Namespace,
    points: Sequence[MarginPoint],
    published: Mapping[str, Mapping[str, float]],
    images: torch.Tensor,
    labels: torch.Tensor,
    victims: Mapping[str, nn.Module],
    examples: Examples,
) -> None:
    """Writes --report."""
    names = dict.fromkeys(point.victim for point in points)
    write_page(
        arguments.report,
        RobustnessPage(
            title=f"Transfer margins of {arguments.model}: {', '.join(name for name in names if name != CONTROL)}",
            question={
                "asked": "how far past the exact network's decision boundary must an example lie to fool each network?",
                "network": f"{arguments.model}, {arguments.layers} layers through each design",
                "images": f"the first {len(images)} test images ({arguments.data})",
                "examples": "crafted on the exact network with the smallest perturbation, then pushed further past it",
                "command": command_of(arguments),
            },
            verdicts=[_verdict(name, points) for name in names if name != CONTROL],
            tables=[_table(points)],
            curves=_curves(points, published),
            pictures=_pictures(arguments, points, images, labels, victims, examples) if drawable(images) else [],
            notes=[
                f"{CONTROL_NOTE}.",
                "Of examples that fool the exact network and whose clean image both networks classify correctly; "
                "intervals: Wilson, 95 %.",
                *([_PUBLISHED] if published else []),
            ],
        ),
    )


def _of(points: Sequence[MarginPoint], attack: str, victim: str) -> list[MarginPoint]:
    return [point for point in points if point.attack == attack and point.victim == victim]


def _verdict(victim: str, points: Sequence[MarginPoint]) -> Verdict:
    """Whether a margin makes examples transfer that do not at the boundary, attack by attack."""
    reasons, kinds = [], set()
    for attack in dict.fromkeys(point.attack for point in points):
        curve = [point for point in _of(points, attack, victim) if point.rate is not None]
        if not curve:
            continue
        first = curve[0]
        enough = next((point for point in curve if (point.rate or 0) >= TRANSFERS), None)
        what = CURVES[attack].axis_label
        told = f"{attack}: {100 * (first.rate or 0):.0f} % transfer at {what} {first.value:g}"
        if enough is first:
            kinds.add("transfers")
        elif enough is not None:
            kinds.add("brittle")
            told += f", {100 * (enough.rate or 0):.0f} % from {enough.value:g} on"
        else:
            kinds.add("resists")
            told += f", at most {100 * max(point.rate or 0 for point in curve):.0f} % up to {curve[-1].value:g}"
        reasons.append(told)
    share = f"{100 * TRANSFERS:.0f} %"
    if kinds == {"transfers"}:
        return Verdict(victim, f"examples transfer from the boundary on (at least {share}).", reasons, False)
    if "resists" in kinds:
        sentence = f"under some attack fewer than {share} transfer even with the largest margin; attack it directly."
        return Verdict(victim, sentence, reasons)
    return Verdict(victim, f"brittle transfer only: a margin makes at least {share} transfer.", reasons, False)


def _table(points: Sequence[MarginPoint]) -> PageTable:
    rows: list[list[Cell]] = [
        [
            point.victim,
            point.attack,
            (f"{point.value:g}", point.value),
            *percent(point.rate, point.interval),
            (f"{point.fooled} / {point.eligible}", point.fooled),
            ("" if point.median_l2 is None else f"{point.median_l2:.2f}", point.median_l2),
        ]
        for point in points
    ]
    heads = ["design", "attack", "value", "transfer\n%", "95 %\n(Wilson)", "fooled / eligible", "median L2"]
    return PageTable("margins", "Transfer rates", heads, rows)


def _curves(points: Sequence[MarginPoint], published: Mapping[str, Mapping[str, float]]) -> list[Curves]:
    charts = []
    for attack in dict.fromkeys(point.attack for point in points):
        victims = dict.fromkeys(point.victim for point in points if point.attack == attack)
        series = []
        for victim in victims:
            curve = _of(points, attack, victim)
            rates = [None if point.rate is None else 100 * point.rate for point in curve]
            # Evenly spaced, because the first steps past the boundary matter most.
            series.append(
                Series(
                    victim,
                    [f"{point.value:g}" for point in curve],
                    rates,
                    [100 * point.interval[0] for point in curve],
                    [100 * point.interval[1] for point in curve],
                    dashed=victim == CONTROL,
                )
            )
        first = f"{CURVES[attack].values[0]:g}"
        series += [
            Series(f"{source}, published", [first], [rates[attack]])
            for source, rates in published.items()
            if attack in rates
        ]
        charts.append(Curves(CURVES[attack].title, CURVES[attack].axis_label, "transfer rate [%]", series))
    return charts


def _pictures(
    arguments: argparse.Namespace,
    points: Sequence[MarginPoint],
    images: torch.Tensor,
    labels: torch.Tensor,
    victims: Mapping[str, nn.Module],
    examples: Examples,
) -> list[Picture]:
    """For each attack and design one image at the first and at the last value of the curve."""
    names = class_names(arguments)
    pictures = []
    for attack in dict.fromkeys(attack for attack, _ in examples):
        values = sorted(value for other, value in examples if other == attack)
        changed = (examples[attack, values[0]] != images).flatten(1).any(1)
        if not bool(changed.any()):
            continue
        index = int(changed.nonzero()[0, 0])
        for victim in dict.fromkeys(point.victim for point in points if point.victim != CONTROL):
            for value in (values[0], values[-1]):
                adversarial = examples[attack, value][index]
                seen = int(predict(victims[victim], adversarial[None])[0])
                true = int(labels[index])
                words = class_words(names, true)
                taken = f", taken for {class_words(names, seen)}" if seen != true else ", still recognised"
                length = float((adversarial - images[index]).norm())
                budget = f"{CURVES[attack].axis_label} {value:g}, L2 {length:.3g}"
                caption = f"{attack} on {victim}, image {index}; budget: {budget}"
                pictures.append(picture(images[index], adversarial, classes=words + taken, caption=caption))
    return pictures


def keep_margins(arguments: argparse.Namespace, images: torch.Tensor, labels: torch.Tensor, examples: Examples) -> None:
    """Writes --save: examples by attack and value ("cw/0.5")."""
    named = {f"{attack}/{value:g}": adversarial for (attack, value), adversarial in examples.items()}
    save_examples(arguments.save, images, labels, named, {}, {"command": command_of(arguments)})
