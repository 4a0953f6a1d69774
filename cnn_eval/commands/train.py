"""`train`: trains a network and writes its weights with a record of how."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from circuits.support.cli import Commands, integer, say
from circuits.support.options import MAXIMUM_THREADS, add_out
from cnn_eval.choices import MAXIMUM_SEED, NETWORKS, OPTIMIZERS, PRECISIONS, SOURCES
from cnn_eval.commands.network_options import add_folder

_NUMBERS = (
    ("epochs", integer(1), "passes over the training images"),
    ("batch-size", integer(1), "images in a step"),
    ("learning-rate", float, "peak learning rate"),
    ("warmup", float, "fraction of all steps in which the learning rate rises"),
    ("weight-decay", float, "factor of the L2 penalty"),
    ("label-smoothing", float, "probability mass that each target distributes over all classes"),
    ("rotation", float, "augmentation: largest angle, in degrees"),
    ("shift", float, "augmentation: largest shift, in pixels"),
    ("scale", float, "augmentation: largest change of size, as a fraction"),
    ("crop", integer(0), "augmentation: largest shift by whole pixels"),
    ("seed", integer(0, MAXIMUM_SEED), "seed of every random choice"),
    ("threads", integer(1, MAXIMUM_THREADS), "threads to compute with"),
)
"""Settings with a number, as options; each without a default of its own: the network's recipe decides."""
_SETTINGS = (
    *(name.replace("-", "_") for name, _, _ in _NUMBERS),
    "mirror",
    "optimizer",
    "channels_last",
    "precision",
    "data",
)


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train a network and write its weights",
        description="Trains a network and writes its weights with a record of how. The same command resumes a killed "
        "run. The network's recipe decides what is not given.",
    )
    parser.add_argument("model", metavar="MODEL", help=f"network: {', '.join(NETWORKS)}")
    for name, kind, text in _NUMBERS:
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"{text} (default: the network's recipe)")
    parser.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="augmentation: swap left and right at random"
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help="Adam, or gradient descent with momentum")
    parser.add_argument(
        "--channels-last", action=argparse.BooleanOptionalAction, help="memory layout of images, for speed"
    )
    parser.add_argument("--precision", choices=PRECISIONS, help="precision of the forward and backward passes")
    parser.add_argument("--data", choices=SOURCES, help="training images: full, or embedded (the subset)")
    add_folder(parser)
    add_out(parser, "DIR", default=Path("runs/training"), help="folder for weights, record and checkpoint")
    parser.add_argument("--fresh", action="store_true", help="start over, replacing weights and checkpoint")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains, and prints the accuracy on the test images."""
    from cnn_eval.models.registry import model_entry
    from cnn_eval.models.training import train_to_file

    recipe = model_entry(arguments.model).recipe
    given = {name: value for name in _SETTINGS if (value := getattr(arguments, name)) is not None}
    settings = replace(recipe, **given)
    record = train_to_file(settings, arguments.out, folder=arguments.folder, fresh=arguments.fresh)
    say(f"{arguments.out / record['file']}  sha256 {record['sha256']}")
    for source, accuracy in record["accuracy"].items():
        counts = f"{accuracy['correct']}/{accuracy['images']}"
        print(f"accuracy on the {source} test set: {accuracy['percent']:.2f} % ({counts})")
    return 0
