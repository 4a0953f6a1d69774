"""The program `python -m dse`; each command is a program of its own too, as `python -m dse.search`."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.support.cli import Command, run_program
from dse import compare, evolve, plot, results, search

COMMANDS: tuple[Command, ...] = (search, evolve, compare, results, plot)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its status, or 2 after one line about a user's mistake."""
    return run_program(
        argv,
        package="dse",
        script="approx-dse",
        description="Design-space exploration of approximate multipliers: search, evolve, compare, inspect results.",
        commands=COMMANDS,
    )


if __name__ == "__main__":
    raise SystemExit(main())
