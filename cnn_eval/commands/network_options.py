"""Options of the commands that compute networks through designs. Nothing here imports torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuits.support.cli import Parser, deprecated_option, integer
from circuits.support.options import add_cells, add_cpu_features, add_device, add_format, add_threads
from cnn_eval.choices import (
    ACCUMULATOR_BITS,
    BACKWARD,
    CALIBRATION_IMAGES,
    CALIBRATIONS,
    COMPUTE,
    DATASETS,
    FIRST_LAST,
    LAYERS,
    NETWORKS,
    OVERFLOWS,
    SCHEMES,
)


def add_designs(parser: Parser) -> None:
    """The designs to try, and --cells."""
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help="a named design, CELL_array for a ripple array of one cell, a .toml file, or one design for each layer: "
        "LAYER=DESIGN,LAYER=DESIGN (the other layers stay exact)",
    )
    add_cells(parser)


def add_network_options(parser: Parser, *, own: bool = True) -> None:
    """The options --model, --weights and --layers. `own` False: committed networks only, without --weights."""
    names = ", ".join(NETWORKS)
    of_your_own = ", or package.module:factory for your own" if own else ""
    parser.add_argument("--model", metavar="NAME", default="lenet5", help=f"network: {names}{of_your_own}")
    if own:
        add_weights(parser)
    parser.add_argument("--layers", choices=LAYERS, default="conv", help="layers whose products go through the design")


def add_weights(parser: Parser) -> None:
    """The option --weights."""
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help=".safetensors, or .pt with weights only (default: the model's)"
    )


def add_data_options(parser: Parser, *, unit: bool = False) -> None:
    """The options --data, --dataset and --folder. `unit`: pixels of a user's own images must lie in [0, 1]."""
    pixels = "images with pixels in [0, 1]" if unit else "images"
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="SOURCE",
        help=f"test images: embedded (the package's subset), full, or your own: {pixels} and labels in a .safetensors, "
        ".npz or .npy file, or a folder of pictures by class",
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help=f"data set: {', '.join(DATASETS)} (default: the model's, else mnist)"
    )
    add_folder(parser)


def add_folder(parser: Parser) -> None:
    """The option --folder."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="folder of the full data set (default: in the user's cache folder)"
    )


def add_samples(parser: Parser, *, default: int | None = None) -> None:
    """The option --samples."""
    every = " (default: all)" if default is None else ""
    parser.add_argument(
        "--samples", type=integer(1), metavar="N", default=default, help=f"number of images or examples{every}"
    )


def add_compute_options(parser: Parser, *, renamed: bool = True) -> None:
    """The options --compute, --device, --cpu-features, --threads and --format.

    `renamed`: the command called --compute --mode.
    """
    parser.add_argument(
        "--compute",
        choices=COMPUTE,
        default=COMPUTE[0],
        help="how products are computed: auto, the fastest bit-accurate way; lowered, as a bilinear form; any other: "
        "this bit-accurate way, an error where it does not serve the design",
    )
    add_device(parser)
    add_cpu_features(parser)
    add_threads(parser)
    add_format(parser)
    if renamed:
        deprecated_option(parser, "--mode", "--compute")
    deprecated_option(parser, "--json", "--format", "json")


def add_backward(parser: Parser) -> None:
    """The option --backward."""
    parser.add_argument(
        "--backward",
        choices=BACKWARD,
        help="gradient of the approximate layers: ste, as if products were exact; approximate, through the design; "
        "slope, of the bilinear form; table1d and table2d, from the product table of integer designs (default: ste)",
    )
    deprecated_option(parser, "--gradient", "--backward")


def add_integer_options(parser: Parser, *, recovery: bool = True) -> None:
    """The options of quantised networks, --quantize and what goes with it, and with `recovery` --recover."""
    group = parser.add_argument_group("integer designs and recovery" if recovery else "integer designs")
    group.add_argument(
        "--quantize",
        choices=("auto", *SCHEMES),
        help="quantise the network for integer designs: int8 (signed), uint8 or sign_magnitude (unsigned), or auto, by "
        "the design (default: a float network)",
    )
    group.add_argument(
        "--bits", type=_bits, metavar="A[,W]", help="bits of activations and weights (default: the design's widths)"
    )
    group.add_argument(
        "--calibration", choices=CALIBRATIONS, help=f"how activations are scaled (default: {CALIBRATIONS[0]})"
    )
    group.add_argument(
        "--calibration-images",
        type=integer(1),
        metavar="N",
        help=f"training images to calibrate on (default: {CALIBRATION_IMAGES}, or all of fewer)",
    )
    group.add_argument(
        "--first-last",
        choices=FIRST_LAST,
        help=f"the first and the last layer: quantised, or exact in float (default: {FIRST_LAST[0]})",
    )
    group.add_argument(
        "--accumulator",
        type=_accumulator,
        metavar="BITS[:HOW]",
        help="width of the register that adds the products of the design's layers, and what it does beyond its range: "
        f"{' or '.join(OVERFLOWS)} (default: exact sums; {OVERFLOWS[0]})",
    )
    if not recovery:
        return
    group.add_argument(
        "--recover",
        type=integer(1),
        metavar="N",
        help="correct each approximate layer by a gain and a bias a channel, from N training images (default: none)",
    )


def _bits(text: str) -> tuple[int, int]:
    """Bits of --bits: a number or a pair, 2 to 16 each."""
    parts = text.split(",")
    if len(parts) > 2 or not all(part.isdigit() and 2 <= int(part) <= 16 for part in parts):
        raise argparse.ArgumentTypeError(f"must be 2 to 16, or two such numbers A,W, but got {text!r}; correct it")
    return int(parts[0]), int(parts[-1])


def _accumulator(text: str) -> tuple[int, str]:
    """(bits, what happens beyond the range) of --accumulator."""
    bits, separator, overflow = text.partition(":")
    low, high = ACCUMULATOR_BITS
    if not bits.isdecimal() or not low <= int(bits) <= high or (separator and overflow not in OVERFLOWS):
        choices = " or ".join(f"BITS:{name}" for name in OVERFLOWS)
        raise argparse.ArgumentTypeError(
            f"must be {choices} with {low} to {high} bits, such as 16:saturate, but got {text!r}; correct it"
        )
    return int(bits), overflow or OVERFLOWS[0]


def add_cache(parser: Parser) -> None:
    """The option --cache."""
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder of crafted examples (default: in the user's cache folder)"
    )
