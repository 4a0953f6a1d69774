"""What the command lines share: a user's mistake is one line on standard error and exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake in one line, without the usage text."""

    def __init__(self, *, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def guarded(prog: str, action: Callable[[], int]) -> int:
    """Runs `action`; a user's mistake (ValueError, OSError, a missing extra) becomes one line and status 2."""
    try:
        return action()
    except (ValueError, OSError, ImportError) as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130


def positive_int(text: str) -> int:
    """An argparse type: an integer of at least 1."""
    return _number(text, 1)


def natural_int(text: str) -> int:
    """An argparse type: an integer of at least 0."""
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"it must be an integer of at least {least}, but got {text!r}")
    return value
