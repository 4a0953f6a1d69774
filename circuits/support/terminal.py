"""Rich's console, for text that others wrote and for any value of COLUMNS."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from circuits.support.text import printable

WIDTHS = (20, 1000)
"""Least and greatest width that COLUMNS may ask for."""


class Screen(Console):
    """A console that shows control characters in strings as escapes, measured as they are shown."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's text of a string: everything printed and every cell of a table goes through here."""
        return super().render_str(printable(text), **options)


def screen(*, plain_width: int | None = None, error: bool = False) -> Screen:
    """A console on standard output or standard error, without markup in strings.

    As wide as COLUMNS says, where that is a sensible number; else as the terminal; `plain_width` where there is none.
    """
    environment = _environment()
    terminal = (sys.stderr if error else sys.stdout).isatty()
    made = Screen(stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=False, _environ=environment)
    if plain_width is not None and not terminal:  # rich's own answer follows FORCE_COLOR
        made.width = int(environment.get("COLUMNS", plain_width))
    return made


def _environment() -> Mapping[str, str]:
    """The environment, without a width or height that rich would fail on: 0, a word, more than memory holds."""
    low, high = WIDTHS
    environment = dict(os.environ)
    for name in ("COLUMNS", "LINES"):
        value = environment.get(name, "")
        if not (re.fullmatch(r"[0-9]{1,9}", value) and low <= int(value) <= high):
            environment.pop(name, None)
    return environment
