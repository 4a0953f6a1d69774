"""A rich console that is safe for text that others wrote and for any value of COLUMNS."""

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
"""Least and greatest width that COLUMNS may set."""


class Screen(Console):
    """A console that prints control characters in strings as escapes and measures them as such."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Turns a string into rich text; everything printed and every cell of a table goes through here."""
        return super().render_str(printable(text), **options)


def screen(*, plain_width: int | None = None, error: bool = False) -> Screen:
    """A console on standard output, or on standard error; strings hold no markup.

    Its width is COLUMNS, where that is a sensible number, else that of the terminal; without a terminal it is
    `plain_width` where that is given.
    """
    environment = _environment()
    terminal = (sys.stderr if error else sys.stdout).isatty()
    console = Screen(stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=False, _environ=environment)
    if plain_width is not None and not terminal:  # rich's own answer follows FORCE_COLOR
        console.width = int(environment.get("COLUMNS", plain_width))
    return console


def _environment() -> Mapping[str, str]:
    """The environment without widths and heights that rich fails on: 0, a word, more than memory holds."""
    low, high = WIDTHS
    environment = dict(os.environ)
    for name in ("COLUMNS", "LINES"):
        value = environment.get(name, "")
        if not (re.fullmatch(r"[0-9]{1,9}", value) and low <= int(value) <= high):
            environment.pop(name, None)
    return environment
