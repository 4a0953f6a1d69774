"""`data`: the full image sets."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuits.support.cli import say

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "fetch the full image sets, or list what there is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `python -m cnn_eval data`."""
    from cnn_eval.data.dataset_registry import DATASETS

    parser.add_argument("action", choices=("fetch", "list"), help="fetch the full files, or list what there is")
    parser.add_argument("name", nargs="?", default="mnist", help="data set to fetch: " + ", ".join(DATASETS))
    parser.add_argument("--folder", type=Path, help="where the full files lie (default: the user's cache folder)")


def run(arguments: argparse.Namespace) -> int:
    """Runs `python -m cnn_eval data`; raises as `fetch` does."""
    from cnn_eval.data.fetching import fetch
    from cnn_eval.data.inventory import list_images

    if arguments.action == "fetch":
        say(f"{arguments.name}: complete and checked in {fetch(arguments.name, arguments.folder)}")
        return 0
    for line in list_images(arguments.folder):
        say(f"{line.name:8} {line.split:6} {line.source:9} {line.state:13} {line.folder}")
    return 0
