"""`accuracy`: share of test images classified rightly, by design."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from circuits import design
from circuits.support.cli import table
from cnn_eval.commands.common import (
    Subject,
    add_common,
    identity,
    note_unreplaced,
    print_results,
    print_titled,
    span,
    subjects,
)
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import (
    AccuracyResult,
    base_network,
    difference,
    evaluate,
    load_test_images,
    sample_count,
)
from cnn_eval.models.registry import MODELS
from cnn_eval.models.user_model import check_model

SUMMARY = "share of test images classified rightly, by design"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_common(parser, f"network: {', '.join(MODELS)}, or package.module:factory of your own")
    parser.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images (finite pixels) and labels",
    )
    parser.add_argument("--dataset", help="data set of embedded or full (default: the model's, else mnist)")
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a row a design, beside the exact network."""
    chosen = subjects(arguments)
    # All designs are tried before the first image is computed.
    base = base_network(arguments.model, arguments.weights)
    for subject in chosen:
        approximate(base, subject, layers=arguments.layers, compute=arguments.mode)
    images, labels = load_test_images(
        model=arguments.model, data=arguments.data, folder=arguments.folder, dataset=arguments.dataset
    )
    sample_count(arguments.samples, len(images), "test images")
    check_model(base, images, labels)
    left = note_unreplaced(base, arguments.layers, images)

    def result(subject: Subject) -> AccuracyResult:
        return evaluate(
            subject,
            model=arguments.model,
            data=arguments.data,
            samples=arguments.samples,
            layers=arguments.layers,
            folder=arguments.folder,
            compute=arguments.mode,
            weights=arguments.weights,
            dataset=arguments.dataset,
        )

    baseline = result(design("exact"))
    rows: list[dict[str, Any]] = []
    for subject in chosen:
        measured = baseline if subject == design("exact") else result(subject)
        moved, interval = difference(measured, baseline)
        rows.append(
            {
                **identity(subject),
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
        return print_results(arguments, rows, {"data": arguments.data, **own, "unreplaced": left})
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
            span(row["interval"]),
            f"{100 * row['difference_to_exact']:+.2f}",
            span(row["difference_interval"], sign="+"),
        )
    return print_titled(title, printed)
