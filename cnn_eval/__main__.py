"""Command line: accuracy and robustness of networks computed through designs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table

from circuits import Design, design
from circuits.designs import find_design
from cnn_eval import data
from cnn_eval.accuracy import AccuracyResult, difference, evaluate
from cnn_eval.cli import Parser, guarded, positive_int
from cnn_eval.layers import LAYERS
from cnn_eval.models import MODELS
from cnn_eval.scenarios import EXAMPLES, transfer

PROGRAM = "python -m cnn_eval"
_WIDTH = 110  # of tables that are not printed to a terminal


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog=PROGRAM, description="Accuracy and robustness of networks computed through designs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    accuracy = command("accuracy", _accuracy, "share of test images classified rightly, by design")
    _add_common(accuracy)
    accuracy.add_argument("--data", choices=get_args(data.Source), default="embedded", help="test images to use")
    accuracy.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")

    transferred = command("transfer", _transfer, "share of stored adversarial examples that fool each design")
    _add_common(transferred)
    transferred.add_argument("--examples", nargs="+", choices=EXAMPLES, default=list(EXAMPLES), help="example sets")

    data.add_arguments(command("data", data.run, "fetch the full image sets, or list what there is"))
    arguments = parser.parse_args(argv)
    return guarded(f"{PROGRAM} {arguments.command}", lambda: int(arguments.run(arguments)))


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("designs", nargs="+", metavar="DESIGN", help="a named design or the path of a .toml file")
    parser.add_argument("--model", default="lenet5", help=f"network: {', '.join(MODELS)}")
    parser.add_argument("--layers", choices=LAYERS, default="conv", help="layers whose products go through the design")
    parser.add_argument("--samples", type=positive_int, help="images or examples to use (default: all)")
    parser.add_argument("--threads", type=positive_int, help="threads to compute on (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _accuracy(arguments: argparse.Namespace) -> int:
    def result(entry: Design) -> AccuracyResult:
        return evaluate(
            entry,
            model=arguments.model,
            data=arguments.data,
            samples=arguments.samples,
            layers=arguments.layers,
            folder=arguments.folder,
        )

    designs = _designs(arguments)
    baseline = result(design("exact"))
    rows: list[dict[str, Any]] = []
    for entry in designs:
        measured = baseline if entry == design("exact") else result(entry)
        moved, interval = difference(measured, baseline)
        rows.append(
            {
                "design": entry.label,
                "digest": entry.digest,
                "correct": int(measured.correct.sum()),
                "images": measured.correct.size,
                "accuracy": measured.accuracy,
                "interval": measured.interval,
                "difference_to_exact": moved,
                "difference_interval": interval,
            }
        )
    if arguments.json:
        return _print_json(arguments, rows)
    images = f"{baseline.correct.size} {arguments.data} test images"
    table = Table(title=f"{arguments.model}, {arguments.layers} layers through the design, {images}", title_style="")
    for header in ("design", "correct", "accuracy %", "95 % (Wilson)", "less exact, points", "95 % (paired)"):
        table.add_column(header, justify="left" if header == "design" else "right")
    for row in rows:
        table.add_row(
            row["design"],
            str(row["correct"]),
            f"{100 * row['accuracy']:.2f}",
            _span(row["interval"]),
            f"{100 * row['difference_to_exact']:+.2f}",
            _span(row["difference_interval"], sign="+"),
        )
    _console().print(table)
    return 0


def _transfer(arguments: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for entry in _designs(arguments):
        results = transfer(
            entry,
            examples=arguments.examples,
            model=arguments.model,
            layers=arguments.layers,
            samples=arguments.samples,
        )
        for name, result in results.items():
            rows.append(
                {
                    "design": entry.label,
                    "digest": entry.digest,
                    "examples": name,
                    "fooled": result.fooled,
                    "eligible": result.eligible,
                    "rate": result.rate if result.eligible else None,
                    "interval": result.interval,
                }
            )
    if arguments.json:
        return _print_json(arguments, rows)
    title = f"{arguments.model}: stored examples, crafted on the exact network, that fool the design's network"
    table = Table(title=title, title_style="")
    for header in ("design", "examples", "fooled / eligible", "transfer %", "95 % (Wilson)"):
        table.add_column(header, justify="left" if header in ("design", "examples") else "right")
    for row in rows:
        rate = "none eligible" if row["rate"] is None else f"{100 * row['rate']:.1f}"
        span = _span(row["interval"], digits=1)
        table.add_row(row["design"], row["examples"], f"{row['fooled']} / {row['eligible']}", rate, span)
    _console().print(table)
    return 0


def _designs(arguments: argparse.Namespace) -> list[Design]:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return [find_design(text) for text in arguments.designs]


def _print_json(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> int:
    settings = {key: getattr(arguments, key) for key in ("model", "layers", "samples")}
    print(json.dumps({"command": arguments.command, **settings, "results": rows}, indent=2))
    return 0


def _span(interval: tuple[float, float], *, digits: int = 2, sign: str = "") -> str:
    return " .. ".join(f"{100 * end:{sign}.{digits}f}" for end in interval)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


if __name__ == "__main__":
    raise SystemExit(main())
