"""The option of a compressor tree: which compressor stands in which product column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from circuits.cells.compressors import NO_COMPRESSOR, Compressor, compressor
from circuits.errors import DesignError
from circuits.support.text import shorten


@dataclass(frozen=True)
class CompressorColumns:
    """A compressor for every product column, or one for all; None: full adders only.

    `entries`: one for all columns, or w + v, the column of weight 1 first.
    """

    entries: tuple[Compressor | None, ...]

    def at(self, column: int) -> Compressor | None:
        """The compressor of a product column."""
        return self.entries[column if len(self.entries) > 1 else 0]

    def compressors(self) -> list[Compressor]:
        """The different compressors, in the order of columns."""
        return [entry for entry in dict.fromkeys(self.entries) if entry is not None]

    def to_data(self) -> str | list[str]:
        """A name, or the names by column."""
        names = [_name(entry) for entry in self.entries]
        return names[0] if len(names) == 1 else names

    def __str__(self) -> str:
        if len(self.entries) == 1:
            return f"{_name(self.entries[0])} everywhere"
        runs, start = [], 0
        for name, group in groupby(map(_name, self.entries)):
            end = start + len(list(group)) - 1
            runs.append(f"{start} {name}" if start == end else f"{start}-{end} {name}")
            start = end + 1
        return f"columns {', '.join(runs)}"


def _name(entry: Compressor | None) -> str:
    return NO_COMPRESSOR if entry is None else entry.name


@dataclass(frozen=True)
class CompressorOption:
    """A compressor, its name, or a list of w + v of them by product column; "none" stands for full adders only."""

    meaning: str

    def value(self, name: str, given: Any, widths: tuple[int, ...]) -> CompressorColumns:
        """See `circuits.netlists.block_options.Option`."""
        if isinstance(given, CompressorColumns):
            given = list(given.entries)
        if given is None or isinstance(given, (str, Compressor)):
            given = ["exact" if given is None else given]
        if not isinstance(given, Sequence) or len(given) not in (1, sum(widths)):
            count = f"{len(given)} entries" if isinstance(given, Sequence) else shorten(repr(given))
            raise DesignError(
                f"{name} must be a compressor, or a list of {sum(widths)} by product column for {widths[0]} x "
                f"{widths[1]} bits, but got {count}; correct it."
            )
        entries = tuple(map(_entry, given))
        by_name: dict[str, Compressor] = {}
        for entry in entries:
            if entry is not None and by_name.setdefault(entry.name, entry) != entry:
                raise DesignError(
                    f"compressors of one design must have distinct names, but two are named {entry.name!r}; rename one."
                )
        return CompressorColumns(entries[:1] if len(set(entries)) == 1 else entries)

    def range_text(self, widths: tuple[int, ...]) -> str:
        """See `circuits.netlists.block_options.Option`."""
        return "a compressor, or one a product column; default exact"


def _entry(value: Any) -> Compressor | None:
    if value is None or isinstance(value, Compressor):
        return value
    if not isinstance(value, str):
        raise DesignError(f"a compressor must be named, but got {shorten(repr(value))}; give its name in quotes.")
    return None if value == NO_COMPRESSOR else compressor(value)


def with_own(options: Any, own: Mapping[str, Compressor]) -> Any:
    """Options as TOML holds them, with the names of a file's own compressors replaced by these."""
    if not own or not isinstance(options, Mapping):
        return options

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return own.get(value, value) if isinstance(value, str) else value

    return {name: replaced(value) for name, value in options.items()}
