"""`margins`: how many adversarial examples transfer to designs, by how far past the boundary they were crafted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.support.cli import Commands, say, table
from circuits.support.files import require_writable, write_atomically
from cnn_eval.choices import MARGIN_ATTACKS
from cnn_eval.commands.network_options import (
    add_cache,
    add_compute_options,
    add_data_options,
    add_designs,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import print_results, print_titled, span
from cnn_eval.commands.robustness.page_options import add_page_options, check_page_options

if TYPE_CHECKING:
    import torch

    from cnn_eval.measure.margin_curves import MarginPoint

SAMPLES = 100


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "margins",
        help="transfer rate against confidence, overshoot and budget factor",
        description="Measures the transfer rate from the exact network against C&W's confidence, DeepFool's overshoot "
        "and a factor on the smallest budget of FGSM and PGD.",
    )
    add_designs(parser)
    add_network_options(parser)
    parser.add_argument(
        "--attacks",
        nargs="+",
        choices=MARGIN_ATTACKS,
        default=list(MARGIN_ATTACKS),
        metavar="NAME",
        help=f"any of {', '.join(MARGIN_ATTACKS)}",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the curves into this .png or .svg file (default: none)"
    )
    add_page_options(parser)
    add_data_options(parser, unit=True)
    add_cache(parser)
    add_samples(parser, default=SAMPLES)
    add_integer_options(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each attack, value and design."""
    from cnn_eval.attacks.attack_registry import attack
    from cnn_eval.commands.network_subjects import (
        given_images,
        identity,
        integer_settings,
        subject_networks,
        subjects,
    )
    from cnn_eval.commands.robustness.margins_page import keep_margins, margins_page
    from cnn_eval.examples.example_cache import default_cache
    from cnn_eval.measure.margin_curves import PUBLISHED, measure_margins
    from cnn_eval.scenarios.control import CONTROL, power_of_two_control

    if arguments.plot is not None:
        if arguments.plot.suffix not in (".png", ".svg"):
            raise ValueError(f"--plot must end in .png or .svg, but is {arguments.plot}; rename it.")
        require_writable(arguments.plot.parent)
    check_page_options(arguments)
    chosen = subjects(arguments, reserved=(CONTROL,))
    for name in arguments.attacks:
        attack(name).require_library()
    networks = subject_networks(arguments)
    base = networks.common_exact(chosen)
    identities = {row["design"]: row for row in map(identity, chosen)}
    victims = {identity(subject)["design"]: networks.through(subject) for subject in chosen}
    victims[CONTROL] = power_of_two_control(networks.float_network or base, layers=arguments.layers)
    tested = given_images(arguments, base, unit=True)
    examples: dict[tuple[str, float], torch.Tensor] = {}

    def keep(name: str, value: float, adversarial: torch.Tensor) -> None:
        examples[name, value] = adversarial

    points = measure_margins(
        base,
        victims,
        *tested.measured,
        attacks=arguments.attacks,
        cache=arguments.cache or default_cache(),
        progress=True,
        note=lambda text: say(f"note: {text}", file=sys.stderr),
        keep=keep,
    )
    published = PUBLISHED if arguments.model == "lenet5" else {}
    if arguments.plot is not None:
        from cnn_eval.measure.margins_plot import margins_plot

        title = f"{arguments.model}: transfer from the exact network, {tested.samples} images"
        files = margins_plot(points, control=CONTROL, published=published, title=title)
        write_atomically(arguments.plot, files[arguments.plot.suffix[1:]])
        say(f"note: curves in {arguments.plot}", file=sys.stderr)
    if arguments.report is not None:
        margins_page(arguments, points, published, *tested.measured, victims, examples)
        say(f"note: page in {arguments.report}", file=sys.stderr)
    if arguments.save is not None:
        keep_margins(arguments, *tested.measured, examples)
        say(f"note: examples in {arguments.save}", file=sys.stderr)
    if arguments.format != "table":
        return print_results(
            arguments,
            [_row(point, identities) for point in points],
            {
                "data": arguments.data,
                "published_percent": {name: dict(rates) for name, rates in published.items()},
                **integer_settings(arguments),
                "unreplaced": tested.unreplaced,
            },
        )
    return _print(arguments, points, published, tested.samples)


def _row(point: MarginPoint, identities: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    from cnn_eval.measure.margin_curves import CURVES

    return {
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


def _print(
    arguments: argparse.Namespace,
    points: Sequence[MarginPoint],
    published: Mapping[str, Mapping[str, float]],
    count: int,
) -> int:
    from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE

    right = ("value", "median L2", "fooled / eligible", "transfer %", "95 % (Wilson)")
    rates_table = table("attack", right[0], "design", *right[1:], keys=3, right=right)
    last: tuple[str, float] | None = None
    for point in points:
        head = ("", "") if (point.attack, point.value) == last else (point.attack, f"{point.value:g}")
        last = point.attack, point.value
        rates_table.add_row(
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
    return print_titled(title, rates_table)
