"""The options --report and --save of `attack`, `margins` and `audit`. Nothing here imports torch."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from circuits.support.cli import Parser
from circuits.support.files import require_writable

__all__ = ["add_page_options", "check_page_options", "command_of"]


def add_page_options(parser: Parser) -> None:
    """The options --report and --save."""
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write a page: the question, tables with intervals, curves, images, the verdict (default: none)",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="keep the images, their labels and the adversarial examples in this .safetensors file (default: none)",
    )


def check_page_options(arguments: argparse.Namespace) -> None:
    """Raises ValueError, before any work, for files of another kind and folders that may not be written."""
    for option, suffix in (("report", ".html"), ("save", ".safetensors")):
        path: Path | None = getattr(arguments, option)
        if path is None:
            continue
        if path.suffix != suffix:
            raise ValueError(f"--{option} must end in {suffix}, but is {path}; rename it.")
        require_writable(path.parent)


def command_of(arguments: argparse.Namespace) -> str:
    """The command line, as it would be typed again."""
    return shlex.join(["python", "-m", "cnn_eval", arguments.command, *arguments.argv])
