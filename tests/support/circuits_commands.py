"""Runs `python -m circuits` inside the test: what a command prints, and how it refuses."""

from __future__ import annotations

import pytest

from circuits.commands import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that succeeds without a word on standard error."""
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that ends with status 2 and prints nothing else."""
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    return captured.err.strip()
