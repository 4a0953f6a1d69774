"""`data`: the full image sets, other files that are fetched, and the subsets that the package carries."""

from __future__ import annotations

import argparse

from circuits.support.cli import Commands, Parser, say
from circuits.support.options import add_out
from cnn_eval.choices import DATASETS, FETCHABLE
from cnn_eval.commands.network_options import add_folder


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "data",
        help="fetch the full image sets, list what there is, or cut a subset",
        description="Fetches and lists image sets.",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(
        title="actions", dest="action", metavar="ACTION", required=True, parser_class=Parser
    )
    names = ", ".join(DATASETS)

    fetching = actions.add_parser(
        "fetch", help="fetch the full files of a data set, weights or pictures, each checked against its SHA-256"
    )
    fetching.add_argument(
        "name", nargs="?", default="mnist", metavar="NAME", help=f"{', '.join(FETCHABLE)} (default: mnist)"
    )
    add_folder(fetching)
    fetching.set_defaults(act=_fetch)

    listing = actions.add_parser("list", help="list the data sets and what there is of each")
    add_folder(listing)
    listing.set_defaults(act=_list)

    embedding = actions.add_parser("embed", help="cut the balanced subset that the package carries from the full files")
    embedding.add_argument("name", metavar="NAME", help=f"data set: {names}")
    add_folder(embedding)
    add_out(embedding, "DIR", help="folder to write (default: the package's)")
    embedding.set_defaults(act=_embed)


def run(arguments: argparse.Namespace) -> int:
    """Carries out the chosen action."""
    return int(arguments.act(arguments))


def _fetch(arguments: argparse.Namespace) -> int:
    from cnn_eval.data.fetching import fetch

    say(f"{arguments.name}: complete and checked in {fetch(arguments.name, arguments.folder)}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from cnn_eval.data.inventory import list_images

    for line in list_images(arguments.folder):
        say(f"{line.name:17} {line.split:6} {line.source:9} {line.state:13} {line.folder}")
    return 0


def _embed(arguments: argparse.Namespace) -> int:
    from cnn_eval.data.folders import EMBEDDED_FOLDER
    from cnn_eval.data.make_subset import embed

    for path in embed(arguments.name, arguments.folder, arguments.out or EMBEDDED_FOLDER):
        say(f"{path.stat().st_size:9} bytes  {path}")
    return 0
