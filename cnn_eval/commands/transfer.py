"""`transfer`: share of stored adversarial examples that fool each design."""

from __future__ import annotations

import argparse
from typing import Any

from circuits.support.cli import table
from cnn_eval.commands.common import add_common, identity, print_results, print_titled, span, subjects
from cnn_eval.models.registry import MODELS
from cnn_eval.scenarios.transfer import EXAMPLES, measure_transfer

SUMMARY = "share of stored adversarial examples that fool each design"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_common(parser, f"network: {', '.join(MODELS)}")
    parser.add_argument("--examples", nargs="+", choices=EXAMPLES, default=list(EXAMPLES), help="example sets")


def run(arguments: argparse.Namespace) -> int:
    """Prints a row a design and example set."""
    rows: list[dict[str, Any]] = []
    for subject in subjects(arguments):
        results = measure_transfer(
            subject,
            examples=arguments.examples,
            model=arguments.model,
            layers=arguments.layers,
            samples=arguments.samples,
            compute=arguments.mode,
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
    if arguments.json:
        return print_results(arguments, rows, {})
    columns = ("fooled / eligible", "transfer %", "95 % (Wilson)")
    printed = table("design", "examples", *columns, keys=2, right=columns)
    for row in rows:
        rate = "none eligible" if row["rate"] is None else f"{100 * row['rate']:.1f}"
        interval = span(row["interval"], digits=1)
        printed.add_row(
            row["design"].replace(", ", "\n"), row["examples"], f"{row['fooled']} / {row['eligible']}", rate, interval
        )
    return print_titled(
        f"{arguments.model}: stored examples, crafted on the exact network, that fool the design's network", printed
    )
