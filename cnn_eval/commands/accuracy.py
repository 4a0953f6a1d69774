"""`accuracy`: share of test images classified correctly, by design."""

from __future__ import annotations

import argparse
from typing import Any

from circuits.support.cli import Commands, table
from cnn_eval.commands.network_options import (
    add_compute_options,
    add_data_options,
    add_designs,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import PRODUCTS, print_results, print_titled, span


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "accuracy",
        help="share of test images classified correctly, by design",
        description="Measures the share of test images that a network classifies correctly through each design, beside "
        "the exact network, with 95 % intervals.",
    )
    add_designs(parser)
    add_network_options(parser)
    add_data_options(parser)
    add_samples(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each design, beside the exact network."""
    from circuits.designs.named_designs import design
    from cnn_eval.commands.network_subjects import Subject, identity, note_unreplaced, subjects
    from cnn_eval.layers.approximation import approximate
    from cnn_eval.measure.network_accuracy import (
        AccuracyResult,
        base_network,
        difference,
        evaluate,
        load_test_images,
        sample_count,
    )
    from cnn_eval.models.user_model import check_model

    chosen = subjects(arguments)
    # Every design is tried before the first image is computed.
    base = base_network(arguments.model, arguments.weights)
    for subject in chosen:
        approximate(base, subject, layers=arguments.layers, compute=arguments.compute)
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
            compute=arguments.compute,
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
    if arguments.format != "table":
        own = {key: str(value) for key in ("weights", "dataset") if (value := getattr(arguments, key)) is not None}
        return print_results(arguments, rows, {"data": arguments.data, **own, "unreplaced": left})
    return _print(arguments, rows, baseline.correct.size)


def _print(arguments: argparse.Namespace, rows: list[dict[str, Any]], images: int) -> int:
    title = (
        f"{arguments.model}, {arguments.layers} layers through the design, {PRODUCTS[arguments.compute]} products, "
        f"{images} {arguments.data} test images;\n"
        "differences in percentage points"
    )
    columns = ("correct", "accuracy %", "95 % (Wilson)", "less exact", "95 % (paired)")
    accuracies = table("design", *columns, right=columns)
    for row in rows:
        accuracies.add_row(
            row["design"].replace(", ", "\n"),
            str(row["correct"]),
            f"{100 * row['accuracy']:.2f}",
            span(row["interval"]),
            f"{100 * row['difference_to_exact']:+.2f}",
            span(row["difference_interval"], sign="+"),
        )
    return print_titled(title, accuracies)
