"""`accuracy`: share of test images classified correctly, by design."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circuits.support.cli import Commands, say, table
from cnn_eval.commands.network_options import (
    add_compute_options,
    add_data_options,
    add_designs,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import (
    PRODUCTS,
    accuracy_cells,
    accuracy_columns,
    print_results,
    print_titled,
    span,
)

if TYPE_CHECKING:
    from torch import nn

    from cnn_eval.measure.network_accuracy import AccuracyResult

_MUCH = 0.01
"""Loss of accuracy that is worth a note."""


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "accuracy",
        help="share of test images classified correctly, by design",
        description="Measures the share of test images that a network classifies correctly through each design, beside "
        "the exact network, with 95 % intervals. With --quantize, integer designs in a quantised network, beside that "
        "network with exact products and beside the float network.",
    )
    add_designs(parser)
    add_network_options(parser)
    add_data_options(parser)
    add_samples(parser)
    add_integer_options(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each design, beside the exact network."""
    from circuits.designs.named_designs import design
    from cnn_eval.commands.network_subjects import (
        given_images,
        identity,
        integer_settings,
        overflowed,
        subject_networks,
        subjects,
    )
    from cnn_eval.layers.approximation import approximate
    from cnn_eval.measure.network_accuracy import AccuracyResult
    from cnn_eval.models.inference import predict

    chosen = subjects(arguments)
    networks = subject_networks(arguments)
    # Every design is tried before the first image is computed.
    for subject in chosen:
        networks.check(subject)
    tested = given_images(arguments, networks.base)
    images, labels = tested.measured
    results: dict[int, AccuracyResult] = {}

    def result(network: nn.Module) -> AccuracyResult:
        # Several designs share an exact network; the networks live as long as `networks` does.
        if id(network) not in results:
            results[id(network)] = AccuracyResult((predict(network, images) == labels).numpy())
        return results[id(network)]

    exact_float = None
    if not networks.is_quantized:
        exact_float = approximate(networks.base, design("exact"), layers=arguments.layers, compute=arguments.compute)
    rows: list[dict[str, Any]] = []
    baselines: dict[str, AccuracyResult] = {}
    for subject in chosen:
        exact = networks.exact(subject) if exact_float is None else exact_float
        baseline = result(exact)
        beyond = None
        if subject == design("exact") and not arguments.recover:
            measured = baseline
        else:
            network = networks.through(subject)
            measured = AccuracyResult((predict(network, images) == labels).numpy())
            beyond = overflowed(network)
        row = {**identity(subject), **measured.to_dict(), **_difference("exact", measured, baseline)}
        if networks.is_quantized:
            baselines[networks.codes_of(subject)] = baseline
            row["codes"] = networks.codes_of(subject)
            if beyond is not None:
                row["overflowed_sums"] = beyond
            if networks.float_network is not None:
                baselines["float"] = result(networks.float_network)
                row |= _difference("float", measured, baselines["float"])
        rows.append(row)
    if any(_affine_loses(row) for row in rows) and arguments.quantize == "auto":
        say(
            "note: auto takes uint8 for unsigned designs; those that drop small products often lose less with "
            "--quantize sign_magnitude",
            file=sys.stderr,
        )
    if arguments.format != "table":
        own = {key: str(value) for key in ("weights", "dataset") if (value := getattr(arguments, key)) is not None}
        more = {"data": arguments.data, **own, **integer_settings(arguments), "unreplaced": tested.unreplaced}
        if networks.is_quantized:
            more["exact"] = {name: each.to_dict() for name, each in baselines.items()}
        return print_results(arguments, rows, more)
    return _print(arguments, rows, baselines, tested.samples)


def _affine_loses(row: Mapping[str, Any]) -> bool:
    """Whether a design of affine codes surely loses more than a point to the exact network.

    A product of a small activation that vanishes leaves the zero-point term, which is exact, without its counterpart.
    """
    codes: str = row.get("codes", "")
    most: float = row["difference_interval"][1]
    return codes.startswith("uint8") and most < -_MUCH


def _difference(name: str, measured: AccuracyResult, baseline: AccuracyResult) -> dict[str, Any]:
    """The paired difference to the network called `name`. The interval of that to exact has the shorter key."""
    from cnn_eval.measure.network_accuracy import difference

    moved, interval = difference(measured, baseline)
    return {
        f"difference_to_{name}": moved,
        "difference_interval" if name == "exact" else f"difference_to_{name}_interval": interval,
    }


def _print(
    arguments: argparse.Namespace,
    rows: list[dict[str, Any]],
    baselines: Mapping[str, AccuracyResult],
    images: int,
) -> int:
    title = (
        f"{arguments.model}, {arguments.layers} layers through the design, {PRODUCTS[arguments.compute]} products, "
        f"{images} {arguments.data} test images;\n"
        "differences in percentage points"
    )
    columns = accuracy_columns("exact")
    if baselines:
        exact = "; ".join(
            f"{name if name == 'float' else f'exact {name}'}: {100 * each.accuracy:.2f} % ({span(each.interval)})"
            for name, each in baselines.items()
        )
        title = f"{title}\n{exact}"
    if arguments.recover:
        title = f"{title}\nrecovered from {arguments.recover} images: a gain and a bias a channel"
    if arguments.accumulator:
        bits, how = arguments.accumulator
        title = f"{title}\naccumulators of the design's layers: {bits} bits, {how}; the exact network's sums are exact"
    with_float = "float" in baselines
    columns += ["less float", "95 % (to float)"] if with_float else []
    columns += ["sums beyond %"] if arguments.accumulator else []
    accuracies = table("design", *columns, right=columns)
    for row in rows:
        cells = accuracy_cells(row, "exact")
        if with_float:
            cells += [
                f"{100 * row['difference_to_float']:+.2f}",
                span(row["difference_to_float_interval"], sign="+"),
            ]
        if arguments.accumulator:
            cells.append(f"{100 * row['overflowed_sums']:.3g}")
        accuracies.add_row(row["design"].replace(", ", "\n"), *cells)
    return print_titled(title, accuracies)
