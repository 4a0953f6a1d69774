"""Options of the commands that score designs: the network and its images, as in `python -m cnn_eval accuracy`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from circuits.errors import DesignError, unknown_name
from circuits.support.cli import Parser, integer
from cnn_eval.choices import NETWORKS
from cnn_eval.commands.network_options import add_data_options, add_integer_options, add_network_options
from dse.score.networks.network_keys import EMBEDDED_IMAGES
from dse.score.networks.network_settings import OPERANDS, NetworkSettings
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["add_network", "add_scorer", "score_settings"]


_NOT_GIVEN = (
    "weights",
    "dataset",
    "folder",
    "quantize",
    "bits",
    "calibration",
    "calibration_images",
    "first_last",
    "recover",
    "accumulator",
)
_DEFAULTS = {"model": "lenet5", "data": "embedded", "layers": "conv", **dict.fromkeys(_NOT_GIVEN)}
"""What the options say of the default network, which needs no torch."""


def add_network(parser: Parser) -> None:
    """The options that choose the network, its layers and its images, and how much is measured on them."""
    add_network_options(parser)
    add_data_options(parser)
    add_integer_options(parser)
    parser.add_argument(
        "--images",
        type=integer(1),
        metavar="N",
        help=f"test images for accuracy (default: {ScoreSettings().images}, or all where there are fewer)",
    )
    parser.add_argument(
        "--attack-images",
        type=integer(0),
        metavar="N",
        help="test images for the adaptive attack; 0: no robustness unless it is asked for, for large networks "
        f"(default: {ScoreSettings().attack_images}, or all where there are fewer)",
    )
    parser.add_argument(
        "--errors-on",
        choices=OPERANDS,
        help=f"{OPERANDS[1]}: errors are measured also on what the network's layers multiply (default: {OPERANDS[0]})",
    )


def add_scorer(parser: Parser) -> None:
    """The option --scorer."""
    parser.add_argument(
        "--scorer",
        action="append",
        metavar="MODULE:NAME",
        help="scorer of your own, package.module:NAME, whose columns may be objectives and constraints; repeatable "
        "(default: none)",
    )


def score_settings(arguments: argparse.Namespace) -> ScoreSettings:
    """What the command line says about the network, which is loaded and tried, unless it is the default one.

    Raises DesignError or DataError in one line for what is missing or does not fit.
    """
    network = NetworkSettings(operands=arguments.errors_on or OPERANDS[0])
    if all(getattr(arguments, name) == value for name, value in _DEFAULTS.items()):
        default = ScoreSettings()
        images = default.images if arguments.images is None else arguments.images
        attacked = default.attack_images if arguments.attack_images is None else arguments.attack_images
        for name, count in (("images", images), ("attack-images", attacked)):
            if count > EMBEDDED_IMAGES:
                raise DesignError(
                    f"--{name} must be at most {EMBEDDED_IMAGES:,}, the test images in the package, but got {count:,}; "
                    "give fewer, or --data full."
                )
        return ScoreSettings(images=images, attack_images=attacked, network=network)
    if ":" not in arguments.model and arguments.model not in NETWORKS:
        raise unknown_name("model", arguments.model, NETWORKS)
    if arguments.weights is not None and not arguments.weights.exists():
        raise DesignError(f"--weights must be a file, but there is none at {arguments.weights}; correct the path.")
    # From here on torch is needed.
    from cnn_eval.commands.network_subjects import accumulator, quantization_of
    from dse.score.networks.network_fitting import settings_for_network

    settings = settings_for_network(
        arguments.model,
        weights=arguments.weights,
        data=arguments.data,
        dataset=arguments.dataset,
        folder=arguments.folder,
        layers=arguments.layers,
        quantize=quantization_of(arguments),
        recover=arguments.recover or 0,
        accumulator=accumulator(arguments),
        images=arguments.images,
        attack_images=arguments.attack_images,
    )
    return replace(settings, network=replace(settings.network, operands=network.operands))
