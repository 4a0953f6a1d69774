"""`examples`: crafts the stored adversarial examples of a network."""

from __future__ import annotations

import argparse

from circuits.support.cli import Commands
from circuits.support.options import add_out, add_seed
from cnn_eval.choices import EXAMPLE_SETS, MAXIMUM_SEED, NETWORKS


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "examples",
        help="craft the stored adversarial examples of a network",
        description="Crafts the stored adversarial examples on the committed weights of a network, those that "
        "`transfer` tries on designs.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", default="lenet5", help=f"network: {', '.join(NETWORKS)}")
    parser.add_argument(
        "--examples", nargs="+", choices=EXAMPLE_SETS, default=list(EXAMPLE_SETS), help="stored sets of examples"
    )
    add_seed(parser, MAXIMUM_SEED, help="seed of the images' order")
    add_out(parser, "DIR", help="folder to write (default: the package's)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Crafts, writes and prints one line for each set."""
    from cnn_eval.data.folders import EMBEDDED_FOLDER
    from cnn_eval.examples.stored_examples import COUNTS, craft_example_set
    from cnn_eval.models.registry import model_entry

    for name in arguments.examples:
        record = craft_example_set(name, arguments.model, out=arguments.out or EMBEDDED_FOLDER, seed=arguments.seed)
        success, distance = record["success"], record["distance"]
        stored = min(success["fooled"], COUNTS[model_entry(arguments.model).dataset])
        print(
            f"{name}: {success['fooled']} of {success['attacked']} fooled, {stored} kept; median Linf "
            f"{distance['linf']['median']:.4f}, L2 {distance['l2']['median']:.3f}; {record['bytes']} bytes"
        )
    return 0
