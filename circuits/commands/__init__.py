"""The command line `python -m circuits`: one module for each command (see `circuits.support.cli`)."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.commands import (
    cells,
    characterize,
    designs,
    draw,
    export,
    import_,
    metrics,
    multiply,
    show,
    timing,
    verify,
)
from circuits.commands.blocks import adder_command, compressor_command, topology_command
from circuits.commands.collections import library_listing, measured_front
from circuits.support.cli import Command, run_program

COMMANDS: tuple[Command, ...] = (
    show,
    metrics,
    timing,
    cells,
    designs,
    library_listing,
    measured_front,
    multiply,
    export,
    import_,
    draw,
    verify,
    adder_command,
    compressor_command,
    topology_command,
    characterize,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its status, or 2 after one line about a user's mistake."""
    return run_program(
        argv,
        package="circuits",
        script="approx-circuits",
        description="Approximate multipliers from full-adder cells: definitions, errors, cost, HDL, drawings.",
        commands=COMMANDS,
    )
