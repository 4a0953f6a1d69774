"""The command line `python -m cnn_eval`: one module for each command (see `circuits.support.cli`).

A command imports torch only when it runs, so that every `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.support.cli import Command, run_program
from cnn_eval.commands import accuracy, attack, audit, data, examples, finetune, margins, sensitivity, train, transfer

COMMANDS: tuple[Command, ...] = (
    accuracy,
    transfer,
    attack,
    audit,
    margins,
    sensitivity,
    data,
    train,
    finetune,
    examples,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its status, or 2 after one line about a user's mistake."""
    return run_program(
        argv,
        package="cnn_eval",
        script="approx-cnn",
        description="Accuracy and robustness of networks computed through designs.",
        commands=COMMANDS,
    )
