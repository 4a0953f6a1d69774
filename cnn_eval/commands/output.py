"""Results of commands as table, JSON or CSV."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuits.support.cli import console, print_csv, print_json
from cnn_eval.choices import COMPUTE

if TYPE_CHECKING:
    from rich.table import Table

PRODUCTS = {**dict.fromkeys(COMPUTE, "bit-accurate"), "lowered": "lowered"}
"""What --compute means, for titles."""
_WIDTH = 110
"""Columns of a table that is not printed to a terminal."""


def print_results(
    arguments: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any],
    *,
    keys: Sequence[str] = ("model", "layers", "compute", "samples"),
) -> int:
    """One document in the format of --format. JSON holds the command, its options `keys`, `more` and the rows; CSV the
    rows alone, with one column for each number of a nested value (`interval_low`, `noise_median.l2`)."""
    if arguments.format == "csv":
        flat = [dict(flattened(row)) for row in rows]
        columns = dict.fromkeys(name for row in flat for name in row)
        print_csv(list(columns), flat)
        return 0
    settings = {key: getattr(arguments, key) for key in keys}
    print_json({"command": arguments.command, **settings, **more, "results": rows})
    return 0


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(column, value) of a row: dicts as NAME.KEY, intervals as NAME_low and NAME_high, lists joined by "; "."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        elif isinstance(value, tuple) and len(value) == 2:
            yield f"{name}_low", value[0]
            yield f"{name}_high", value[1]
        elif isinstance(value, (list, tuple)):
            yield name, "; ".join(map(str, value))
        else:
            yield name, value


def print_titled(title: str, body: Table) -> int:
    """Prints a title, an empty line and a table."""
    output = console(plain_width=_WIDTH)
    output.print(title, end="\n\n")
    output.print(body)
    return 0


def accuracy_columns(other: str) -> list[str]:
    """Headings of an accuracy beside that of another network."""
    return ["correct", "accuracy %", "95 % (Wilson)", f"less {other}", "95 % (paired)"]


def accuracy_cells(row: Mapping[str, Any], other: str) -> list[str]:
    """What stands below `accuracy_columns` for a row with the keys of `AccuracyResult.to_dict` and the difference."""
    return [
        str(row["correct"]),
        f"{100 * row['accuracy']:.2f}",
        span(row["interval"]),
        f"{100 * row[f'difference_to_{other}']:+.2f}",
        span(row["difference_interval"], sign="+"),
    ]


def span(interval: tuple[float, float], *, digits: int = 2, sign: str = "") -> str:
    """An interval of rates, in percent."""
    return " .. ".join(f"{100 * end:{sign}.{digits}f}" for end in interval)
