"""`transfer`: share of stored adversarial examples that fool each design."""

from __future__ import annotations

import argparse
from typing import Any

from circuits.support.cli import Commands, table
from cnn_eval.choices import EXAMPLE_SETS
from cnn_eval.commands.network_options import (
    add_compute_options,
    add_designs,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import print_results, print_titled, span


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "transfer",
        help="share of stored adversarial examples that fool each design",
        description="Measures how many stored adversarial examples, crafted on the exact network, also fool the "
        "network through each design.",
    )
    add_designs(parser)
    add_network_options(parser, own=False)
    parser.add_argument(
        "--examples", nargs="+", choices=EXAMPLE_SETS, default=list(EXAMPLE_SETS), help="stored sets of examples"
    )
    add_samples(parser)
    add_integer_options(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each design and set of examples."""
    from cnn_eval.commands.network_subjects import identity, integer_settings, subject_networks, subjects
    from cnn_eval.models.registry import model_entry
    from cnn_eval.scenarios.transfer import measure_transfer

    rows: list[dict[str, Any]] = []
    chosen = subjects(arguments)
    model_entry(arguments.model)  # no examples are stored for other networks
    networks = subject_networks(arguments)
    for subject in chosen:
        networks.check(subject)
    for subject in chosen:
        results = measure_transfer(
            networks.through(subject),
            examples=arguments.examples,
            model=arguments.model,
            layers=arguments.layers,
            samples=arguments.samples,
            compute=arguments.compute,
        )
        for name, result in results.items():
            rows.append(
                {
                    **identity(subject),
                    "examples": name,
                    "fooled": result.fooled,
                    "eligible": result.eligible,
                    "rate": result.rate if result.eligible else None,
                    "interval": result.interval,
                }
            )
    if arguments.format != "table":
        return print_results(arguments, rows, integer_settings(arguments))
    columns = ("fooled / eligible", "transfer %", "95 % (Wilson)")
    rates = table("design", "examples", *columns, keys=2, right=columns)
    for row in rows:
        rate = "none eligible" if row["rate"] is None else f"{100 * row['rate']:.1f}"
        interval = span(row["interval"], digits=1)
        rates.add_row(
            row["design"].replace(", ", "\n"), row["examples"], f"{row['fooled']} / {row['eligible']}", rate, interval
        )
    return print_titled(
        f"{arguments.model}: stored examples, crafted on the exact network, that fool the design's network", rates
    )
