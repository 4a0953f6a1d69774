"""What the command lines share: options, one-line errors with exit status 2, and output as table, JSON or CSV."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from circuits.support.text import csv_field, json_safe, printable, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.support.tables import StackedTable

FORMATS = ("table", "json", "csv")
_LONGEST = 2000
"""Characters of an error message."""


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Appends the default to every option's help, except where there is none; a list as it would be typed."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or isinstance(default, bool) or not action.option_strings:
            return action.help
        if isinstance(default, list):
            return f"{action.help} (default: {' '.join(map(str, default)) or 'none'})"
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake in one line and shows every option's default in its help."""

    def __init__(self, **arguments: Any) -> None:
        arguments.setdefault("allow_abbrev", False)
        arguments.setdefault("formatter_class", _HelpFormatter)
        super().__init__(**arguments)

    def error(self, message: str) -> NoReturn:
        """Ends with status 2 after one line."""
        self.exit(2, f"error: {_one_line(message)}; see {self.prog} --help\n")


def guarded(action: Callable[[], int]) -> int:
    """The status of `action()`; a user's mistake (ValueError, OSError, a missing package) is one line and status 2.

    Any other exception is a bug of ours and keeps its traceback.
    """
    try:
        status = action()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is left to say, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: the memory must hold the data, but is too small; give less data.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        # What an action has to say of it, where its results are say, it raises again with.
        print("; ".join(["error: interrupted", *map(str, interrupt.args)]), file=sys.stderr)
        return 130
    return status


def _one_line(message: str) -> str:
    """An error's text as one line, safe for a terminal; what is too long loses its middle, since advice ends it."""
    line = " ".join(message.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    return printable(line)


def integer(low: int, high: int = 2**63) -> Callable[[str], int]:
    """An argparse type: an integer from `low` to `high`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            limit = f"from {low} to {high}" if high < 2**63 else f"of at least {low}"
            raise argparse.ArgumentTypeError(f"it must be an integer {limit}, but got {shorten(repr(text))}")
        return value

    return convert


def add_format(parser: argparse.ArgumentParser) -> None:
    """The option --format."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print")


def console(*, plain_width: int = 100) -> Console:
    """A console for tables: as wide as the terminal, `plain_width` (or COLUMNS) when piped; no markup in strings.

    Control characters in strings, whoever wrote them, are shown as escapes.
    """
    from circuits.support.terminal import screen

    return screen(plain_width=plain_width)


def table(*columns: str, right: Iterable[str] = (), keys: int = 1, title: str | None = None) -> StackedTable:
    """An empty table with headings; those in `right` are aligned right, the first `keys` name the rows.

    Columns that do not fit are printed below, after the names again (`circuits.support.tables`).
    """
    from circuits.support.tables import StackedTable

    return StackedTable(*columns, right=right, keys=keys, title=title)


def say(text: str = "", *, file: TextIO | None = None) -> None:
    """Prints a line that may quote what users and files hold, to standard output unless `file` says otherwise."""
    print(printable(text), file=file, flush=file is not None)


def print_json(value: Any) -> None:
    """JSON, indented; NaN is refused, so give None."""
    print(json_safe(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV with a header line; None is an empty field; text that a spreadsheet would run is guarded (`csv_field`)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_field(value) for name, value in row.items()} for row in rows)
    print_text(text.getvalue())


def print_text(text: str) -> None:
    """Writes a whole document to standard output: as it is, but with escapes for control characters on a terminal."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
