"""The command line `python -m cnn_eval`: one module a command, each with `SUMMARY`, `add_arguments(parser)` and
`run(arguments)`, which returns the exit status."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.support.cli import Parser, guarded
from cnn_eval.commands import accuracy, attack, audit, data, margins, transfer

COMMANDS = {
    "accuracy": accuracy,
    "transfer": transfer,
    "attack": attack,
    "audit": audit,
    "margins": margins,
    "data": data,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0, or 2 after one line about a user's mistake."""
    parser = Parser(
        prog="python -m cnn_eval", description="Accuracy and robustness of networks computed through designs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        added = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(added)
        added.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))
