"""`sensitivity`: the loss when one layer alone is approximate."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from circuits.support.cli import Commands, say, table
from circuits.support.options import add_cells
from cnn_eval.choices import LAYERS, NETWORKS
from cnn_eval.commands.network_options import (
    add_compute_options,
    add_data_options,
    add_integer_options,
    add_samples,
    add_weights,
)
from cnn_eval.commands.output import PRODUCTS, print_results, print_titled, span

if TYPE_CHECKING:
    from cnn_eval.measure.sensitivities import LayerSensitivity


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "sensitivity",
        help="the loss when one layer alone is approximate",
        description="Sends each layer of a network alone through a design, float or, with --quantize, of integers, and "
        "lists what the test images lose, the most sensitive layer first, with the layer's products an image.",
    )
    names = ", ".join(NETWORKS)
    parser.add_argument("model", metavar="MODEL", help=f"network: {names}, or package.module:factory for your own")
    parser.add_argument("designs", nargs=1, metavar="DESIGN", help="a named design or a file")
    add_cells(parser)
    add_weights(parser)
    parser.add_argument("--layers", choices=LAYERS, default="all", help="layers to try")
    add_data_options(parser)
    add_samples(parser)
    add_integer_options(parser, recovery=False)
    add_compute_options(parser, renamed=False)
    parser.set_defaults(run=run, recover=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each layer."""
    from circuits.designs.design_record import Design
    from circuits.errors import DesignError
    from circuits.support.progress import progress_bars
    from cnn_eval.commands.network_subjects import (
        accumulator,
        given_images,
        identity,
        integer_settings,
        subject_networks,
        subjects,
    )
    from cnn_eval.measure.sensitivities import measure_sensitivity

    (subject,) = subjects(arguments)
    if not isinstance(subject, Design):
        raise DesignError("sensitivity needs one design for each layer in turn, but got designs by layer; name one.")
    networks = subject_networks(arguments)
    networks.check(subject)
    tested = given_images(arguments, networks.base)
    network = networks.exact(subject)
    with progress_bars() as bars:
        task = bars.add_task("layers", total=None)
        result = measure_sensitivity(
            network,
            subject,
            *tested.measured,
            layers=arguments.layers,
            compute=arguments.compute,
            accumulator=accumulator(arguments),
            on_layer=lambda _: bars.advance(task),
        )
    rows = [_row(each) for each in (*result.layers, result.together)]
    exact = {**result.exact.to_dict(), "loss": result.loss}
    codes = {"codes": networks.codes_of(subject)} if networks.is_quantized else {}
    if arguments.format != "table":
        more = {
            **identity(subject),
            **integer_settings(arguments),
            **codes,
            "unreplaced": tested.unreplaced,
            "exact": exact,
        }
        return print_results(arguments, rows, more)
    if arguments.compute == "lowered":
        say("note: products are lowered, not bit-accurate", file=sys.stderr)
    return _print(arguments, rows, identity(subject)["design"], codes.get("codes", "float"), exact)


def _row(row: LayerSensitivity) -> dict[str, Any]:
    return {
        "layer": row.layer,
        "kind": row.kind,
        "products": row.products,
        "correct": int(row.accuracy.correct.sum()),
        "accuracy": row.accuracy.accuracy,
        "accuracy_change": row.accuracy_change,
        "accuracy_change_interval": row.interval,
        "loss_change": row.loss_change,
    }


def _print(
    arguments: argparse.Namespace, rows: list[dict[str, Any]], design: str, codes: str, exact: dict[str, Any]
) -> int:
    title = (
        f"{arguments.model} ({codes}), one layer at a time through {design}, {PRODUCTS[arguments.compute]} products, "
        f"{exact['images']} test images;\n"
        f"exact: {100 * exact['accuracy']:.2f} % ({span(exact['interval'])}), cross-entropy {exact['loss']:.4f}; "
        "differences in percentage points"
    )
    columns = ["products an image", "accuracy %", "less exact", "95 % (paired)", "cross-entropy"]
    listing = table("layer", *columns, right=columns)
    for row in rows:
        listing.add_row(
            row["layer"],
            f"{row['products']:,}",
            f"{100 * row['accuracy']:.2f}",
            f"{100 * row['accuracy_change']:+.2f}",
            span(row["accuracy_change_interval"], sign="+"),
            f"{row['loss_change']:+.4f}",
        )
    return print_titled(title, listing)
