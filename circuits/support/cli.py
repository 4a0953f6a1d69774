"""What the command lines share: parsers, one-line errors with exit status 2, and output as table, JSON or CSV.

A command is a module with `register(commands)`, which adds its parser and sets the default `run`, and with
`run(arguments)`, which returns the exit status. `register` imports nothing heavy: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO

from circuits.support.processor import load_driver
from circuits.support.text import csv_field, json_safe, printable, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.support.tables import StackedTable

FORMATS = ("table", "json", "csv")
_DISTRIBUTION = "approximate-dse"
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
        self.renamed_options: dict[str, tuple[str, ...]] = {}

    def error(self, message: str) -> NoReturn:
        """Ends with status 2 after one line."""
        self.exit(2, f"error: {_one_line(message)}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses as argparse does, after renamed options have been replaced by their current names."""
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._with_current_names(words), namespace)

    def _with_current_names(self, words: Sequence[str]) -> list[str]:
        current: list[str] = []
        for k, word in enumerate(words):
            if word == "--":
                return [*current, *words[k:]]
            name, equals, value = word.partition("=")
            if name not in self.renamed_options:
                current.append(word)
                continue
            *first, last = self.renamed_options[name]
            current += [*first, f"{last}{equals}{value}"]
            say(
                f"note: {name} is now {' '.join(self.renamed_options[name])}; the next version drops the old name",
                file=sys.stderr,
            )
        return current


def deprecated_option(parser: Parser, old: str, *current: str) -> None:
    """Accepts `old` for one version in place of the words `current`, with a note; the help does not show it."""
    parser.renamed_options[old] = current


class Commands(Protocol):
    """Where a command adds its parser: the subparsers of a program, or a stand-in for a command that runs alone."""

    def add_parser(self, name: str, *, help: str, description: str) -> Parser:
        """A new parser for the command `name`; `help` is its line in the program's list of commands."""


class Command(Protocol):
    """A module that implements a command."""

    def register(self, commands: Commands) -> None:
        """Adds the command's parser, whose default `run` carries it out."""


def run_program(
    argv: Sequence[str] | None, *, package: str, script: str, description: str, commands: Iterable[Command]
) -> int:
    """Runs one command of `python -m PACKAGE`; returns its status, or 2 after one line about a user's mistake.

    `script`: the console script that does the same. `arguments.argv` are the words after the command's name.
    """
    called_by_script = Path(sys.argv[0]).stem == script
    parser = Parser(prog=script if called_by_script else f"python -m {package}", description=description)
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    for command in commands:
        command.register(subparsers)
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser.parse_args(words)
    arguments.argv = words[words.index(arguments.command) + 1 :]
    return guarded(lambda: _run(arguments))


def run_alone(argv: Sequence[str] | None, register: Callable[[Commands], None], *, prog: str) -> int:
    """Runs a command that is also a program of its own, `prog`; returns as `run_program` does.

    `register`: the command's function of that name.
    """
    alone = _Alone(prog)
    register(alone)
    arguments = alone.parser.parse_args(argv)
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    if getattr(arguments, "device", None) == "cuda":
        # Commands look for the device only when they have imported torch, which takes seconds.
        load_driver()
    return int(arguments.run(arguments))


class _Alone:
    """Takes the one parser of a command that runs alone."""

    def __init__(self, prog: str) -> None:
        self.prog = prog
        self.parser = Parser(prog=prog)

    def add_parser(self, name: str, *, help: str, description: str) -> Parser:
        self.parser = Parser(prog=self.prog, description=description)
        return self.parser


class _PrintVersion(argparse.Action):
    """Prints the installed version; looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from circuits.support.provenance import versions

        print(f"{_DISTRIBUTION} {versions([_DISTRIBUTION])[_DISTRIBUTION]}")
        parser.exit()


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
