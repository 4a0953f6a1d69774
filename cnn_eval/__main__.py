"""Command line: accuracy and robustness of networks computed through designs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from circuits import Design, DesignError, design
from circuits.cli import Parser, console, guarded, integer, print_json, table
from circuits.designs import find_design
from cnn_eval import data
from cnn_eval.accuracy import AccuracyResult, base_network, difference, evaluate
from cnn_eval.layers import LAYERS, MODES, approximate, unreplaced
from cnn_eval.models import MODELS
from cnn_eval.scenarios import EXAMPLES, transfer

PROGRAM = "python -m cnn_eval"
_WIDTH = 110  # of tables that are not printed to a terminal

Subject = Design | Mapping[str, Design]


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog=PROGRAM, description="Accuracy and robustness of networks computed through designs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    accuracy = command("accuracy", _accuracy, "share of test images classified rightly, by design")
    _add_common(accuracy, f"network: {', '.join(MODELS)}, or package.module:factory of your own")
    accuracy.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    accuracy.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images and labels",
    )
    accuracy.add_argument("--dataset", help="data set of embedded or full (default: the model's, else mnist)")
    accuracy.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")

    transferred = command("transfer", _transfer, "share of stored adversarial examples that fool each design")
    _add_common(transferred, f"network: {', '.join(MODELS)}")
    transferred.add_argument("--examples", nargs="+", choices=EXAMPLES, default=list(EXAMPLES), help="example sets")

    data.add_arguments(command("data", data.run, "fetch the full image sets, or list what there is"))
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))


def _add_common(parser: argparse.ArgumentParser, model_help: str) -> None:
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help="a named design, the path of a .toml file, or a design a layer: LAYER=DESIGN,LAYER=DESIGN "
        "(the other layers stay exact)",
    )
    parser.add_argument("--model", default="lenet5", help=model_help)
    parser.add_argument("--layers", choices=LAYERS, default="conv", help="layers whose products go through the design")
    parser.add_argument("--mode", choices=MODES, default="gate", help="gate by gate, or lowered to exact products")
    parser.add_argument("--samples", type=integer(1), help="images or examples to use (default: all)")
    parser.add_argument("--threads", type=integer(1, 4096), help="threads to compute on (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _accuracy(arguments: argparse.Namespace) -> int:
    subjects = _subjects(arguments)
    # All designs are tried before the first image is computed.
    base = base_network(arguments.model, arguments.weights)
    for subject in subjects:
        approximate(base, subject, layers=arguments.layers, mode=arguments.mode)
    left = unreplaced(base, arguments.layers)
    if left:
        listed = ", ".join(f"{name} ({reason})" for name, reason in left.items())
        print(f"note: layers that cannot be replaced stay exact: {listed}", file=sys.stderr)

    def result(subject: Subject) -> AccuracyResult:
        return evaluate(
            subject,
            model=arguments.model,
            data=arguments.data,
            samples=arguments.samples,
            layers=arguments.layers,
            folder=arguments.folder,
            mode=arguments.mode,
            weights=arguments.weights,
            dataset=arguments.dataset,
        )

    baseline = result(design("exact"))
    rows: list[dict[str, Any]] = []
    for subject in subjects:
        measured = baseline if subject == design("exact") else result(subject)
        moved, interval = difference(measured, baseline)
        rows.append(
            {
                **_identity(subject),
                "correct": int(measured.correct.sum()),
                "images": measured.correct.size,
                "accuracy": measured.accuracy,
                "interval": measured.interval,
                "difference_to_exact": moved,
                "difference_interval": interval,
            }
        )
    if arguments.json:
        own = {key: str(value) for key in ("weights", "dataset") if (value := getattr(arguments, key)) is not None}
        return _print_json(arguments, rows, {"data": arguments.data, **own, "unreplaced": left})
    title = (
        f"{arguments.model}, {arguments.layers} layers through the design, {arguments.mode} mode, "
        f"{baseline.correct.size} {arguments.data} test images;\n"
        "differences in percentage points"
    )
    columns = ("correct", "accuracy %", "95 % (Wilson)", "less exact", "95 % (paired)")
    printed = table("design", *columns, right=columns)
    for row in rows:
        printed.add_row(
            row["design"].replace(", ", "\n"),
            str(row["correct"]),
            f"{100 * row['accuracy']:.2f}",
            _span(row["interval"]),
            f"{100 * row['difference_to_exact']:+.2f}",
            _span(row["difference_interval"], sign="+"),
        )
    return _print_table(title, printed)


def _transfer(arguments: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for subject in _subjects(arguments):
        results = transfer(
            subject,
            examples=arguments.examples,
            model=arguments.model,
            layers=arguments.layers,
            samples=arguments.samples,
            mode=arguments.mode,
        )
        for name, result in results.items():
            rows.append(
                {
                    **_identity(subject),
                    "examples": name,
                    "fooled": result.fooled,
                    "eligible": result.eligible,
                    "rate": result.rate if result.eligible else None,
                    "interval": result.interval,
                }
            )
    if arguments.json:
        return _print_json(arguments, rows, {})
    columns = ("fooled / eligible", "transfer %", "95 % (Wilson)")
    printed = table("design", "examples", *columns, right=columns)
    for row in rows:
        rate = "none eligible" if row["rate"] is None else f"{100 * row['rate']:.1f}"
        span = _span(row["interval"], digits=1)
        printed.add_row(
            row["design"].replace(", ", "\n"), row["examples"], f"{row['fooled']} / {row['eligible']}", rate, span
        )
    return _print_table(
        f"{arguments.model}: stored examples, crafted on the exact network, that fool the design's network", printed
    )


def _subjects(arguments: argparse.Namespace) -> list[Subject]:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return [_subject(text) for text in arguments.designs]


def _subject(text: str) -> Subject:
    """A design, or a design by layer from "LAYER=DESIGN,LAYER=DESIGN"."""
    if "=" not in text:
        return find_design(text)
    chosen: dict[str, Design] = {}
    for part in text.split(","):
        layer, _, name = part.partition("=")
        if not layer or not name or layer in chosen:
            raise DesignError(
                f"designs by layer must be LAYER=DESIGN,LAYER=DESIGN, each layer once, but got {text!r}; correct it."
            )
        chosen[layer] = find_design(name)
    return chosen


def _identity(subject: Subject) -> dict[str, Any]:
    if isinstance(subject, Design):
        return {"design": subject.label, "digest": subject.digest}
    return {
        "design": ", ".join(f"{layer}={entry.label}" for layer, entry in subject.items()),
        "digest": {layer: entry.digest for layer, entry in subject.items()},
    }


def _print_json(arguments: argparse.Namespace, rows: list[dict[str, Any]], more: dict[str, Any]) -> int:
    settings = {key: getattr(arguments, key) for key in ("model", "layers", "mode", "samples")}
    print_json({"command": arguments.command, **settings, **more, "results": rows})
    return 0


def _print_table(title: str, printed: Any) -> int:
    output = console(plain_width=_WIDTH)
    output.print(title, end="\n\n")
    output.print(printed)
    return 0


def _span(interval: tuple[float, float], *, digits: int = 2, sign: str = "") -> str:
    return " .. ".join(f"{100 * end:{sign}.{digits}f}" for end in interval)


if __name__ == "__main__":
    raise SystemExit(main())
