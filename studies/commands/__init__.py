"""The command line `python -m studies`: one module for each command (see `circuits.support.cli`).

A command imports the studies, and with them torch, only when it runs, so that every `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.support.cli import Command, run_program
from studies.commands import check, list_, report, run

COMMANDS: tuple[Command, ...] = (list_, run, check, report)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its status, or 2 after one line about a user's mistake."""
    return run_program(
        argv,
        package="studies",
        script="approx-studies",
        description="Published tables and figures, published beside measured, and studies of our own.",
        commands=COMMANDS,
    )
