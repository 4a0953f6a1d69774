"""`margins`: how many adversarial examples transfer to designs, by how far past the boundary they were crafted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from circuits.support.cli import say, table
from circuits.support.files import require_writable, write_atomically
from cnn_eval.attacks.attack_registry import attack
from cnn_eval.commands.common import add_common, identity, note_unreplaced, print_results, print_titled, span, subjects
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.margin_curves import CURVES, PUBLISHED, measure_margins
from cnn_eval.measure.network_accuracy import base_network, load_test_images, sample_count
from cnn_eval.models.registry import MODELS
from cnn_eval.models.user_model import check_model
from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE, power_of_two_control

SUMMARY = "transfer rate from the exact network against confidence, overshoot and budget factor"
SAMPLES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_common(parser, f"network: {', '.join(MODELS)}, or package.module:factory of your own", samples=SAMPLES)
    parser.add_argument("--attacks", nargs="+", choices=CURVES, default=list(CURVES), metavar="NAME", help="curves")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves into FILE.png or FILE.svg")
    parser.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images in [0, 1] and labels",
    )
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")
    parser.add_argument("--cache", type=Path, help="folder of crafted examples (default: in the user's cache folder)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a row an attack, value and design."""
    if arguments.plot is not None:
        if arguments.plot.suffix not in (".png", ".svg"):
            raise ValueError(f"--plot must end in .png or .svg, but is {arguments.plot}; rename it.")
        require_writable(arguments.plot.parent)
    chosen = subjects(arguments, reserved=(CONTROL,))
    for name in arguments.attacks:
        attack(name).require_library()
    base = base_network(arguments.model, arguments.weights)
    identities = {row["design"]: row for row in map(identity, chosen)}
    victims = {
        identity(subject)["design"]: approximate(base, subject, layers=arguments.layers, compute=arguments.mode)
        for subject in chosen
    }
    victims[CONTROL] = power_of_two_control(base, layers=arguments.layers)
    images, labels = load_test_images(model=arguments.model, data=arguments.data, folder=arguments.folder, unit=True)
    count = sample_count(arguments.samples, len(images), "test images")
    check_model(base, images, labels)
    left = note_unreplaced(base, arguments.layers, images)
    points = measure_margins(
        base,
        victims,
        images[:count],
        labels[:count],
        attacks=arguments.attacks,
        cache=arguments.cache or default_cache(),
        progress=True,
        note=lambda text: say(f"note: {text}", file=sys.stderr),
    )
    published = PUBLISHED if arguments.model == "lenet5" else {}
    if arguments.plot is not None:
        from cnn_eval.measure.margins_plot import margins_plot

        title = f"{arguments.model}: transfer from the exact network, {count} images"
        files = margins_plot(points, control=CONTROL, published=published, title=title)
        write_atomically(arguments.plot, files[arguments.plot.suffix[1:]])
        say(f"note: curves in {arguments.plot}", file=sys.stderr)
    if arguments.json:
        rows = [
            {
                **identities.get(point.victim, {"design": point.victim, "digest": None}),
                "attack": point.attack,
                "knob": CURVES[point.attack].parameter or "factor",
                "value": point.value,
                "fooled": point.fooled,
                "eligible": point.eligible,
                "rate": point.rate,
                "interval": point.interval,
                "median_l2": point.median_l2,
            }
            for point in points
        ]
        return print_results(
            arguments,
            rows,
            {
                "data": arguments.data,
                "published_percent": {name: dict(rates) for name, rates in published.items()},
                "unreplaced": left,
            },
        )
    right = ("value", "median L2", "fooled / eligible", "transfer %", "95 % (Wilson)")
    printed = table("attack", right[0], "design", *right[1:], keys=3, right=right)
    last: tuple[str, float] | None = None
    for point in points:
        head = ("", "") if (point.attack, point.value) == last else (point.attack, f"{point.value:g}")
        last = point.attack, point.value
        printed.add_row(
            *head,
            point.victim if point.victim == CONTROL else point.victim.replace(", ", "\n"),
            "" if point.median_l2 is None else f"{point.median_l2:.2f}",
            f"{point.fooled} / {point.eligible}",
            "none eligible" if point.rate is None else f"{100 * point.rate:.1f}",
            span(point.interval, digits=1),
        )
    paper = "; ".join(
        f"{name}: " + ", ".join(f"{attack} {rate:g} %" for attack, rate in rates.items())
        for name, rates in published.items()
    )
    title = (
        f"{arguments.model}: examples crafted on the exact network, {count} images, that fool each network; "
        + CONTROL_NOTE
        + (f"\npublished (DA tables 2 and 10), margins not stated: {paper}" if paper else "")
    )
    return print_titled(title, printed)
