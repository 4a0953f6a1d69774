"""What the command lines share: a user's mistake is one line on standard error and exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

MAX_SEED = 2**32 - 1
"""Largest seed: what every generator takes, torch's and NumPy's."""


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one: no "(default: None)" and no "(default: False)"."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake in one line, without the usage text."""

    def __init__(self, *, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=_Defaults,
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


def seed_int(text: str) -> int:
    """An argparse type: an integer from 0 to `MAX_SEED`."""
    return _number(text, 0, MAX_SEED)


def _number(text: str, least: int, largest: int | None = None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (largest is not None and value > largest):
        bounds = f"of at least {least}" if largest is None else f"from {least} to {largest}"
        raise argparse.ArgumentTypeError(f"it must be an integer {bounds}, but got {text!r}")
    return value
