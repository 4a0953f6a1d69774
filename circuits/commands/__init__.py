"""The command line `python -m circuits`: one module a command, each with `register(commands)` and `run(arguments)`."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.commands import cells, designs, draw, export, import_, metrics, multiply, show, timing
from circuits.support.cli import Parser, guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0, or 2 after one line about a user's mistake."""
    parser = Parser(
        prog="python -m circuits",
        description="Approximate multipliers from full-adder cells: definitions, errors, cost, HDL, drawings.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (show, metrics, timing, cells, designs, multiply, export, import_, draw):
        module.register(commands)
    arguments = parser.parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)))
