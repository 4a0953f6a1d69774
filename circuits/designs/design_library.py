"""The library of evolved multipliers: one TOML file each, found by name, read on first use.

A name says what a circuit is: u8_mae0.037 is an unsigned 8 x 8 multiplier whose mean error is at most 0.037 % of 2^16,
of the least energy that the evolution found. Comments at the head of a file hold its provenance and its measured
numbers, which listings read without building the circuit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from circuits.designs.design_record import Design
from circuits.support.files import read_text

FOLDER = Path(__file__).parent.parent / "library"
_MAXIMUM_BYTES = 1 << 20
_FACT = re.compile(r"# ([a-z_ ]+): (.*)")


class _Library(Mapping[str, Design]):
    """Name -> design, for every .toml file of a folder; a file is read when its design is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Design:
        if name not in self.names:
            raise KeyError(name)
        return _load(self.folder / f"{name}.toml")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """Ordered by prefix and by the numbers in the names."""
        return _names(self.folder)


LIBRARY = _Library(FOLDER)
"""The circuits of the library, in the order of their names: by operands, metric and bound."""


def facts(name: str) -> dict[str, str]:
    """The provenance and the numbers of a library circuit as its file states them: key -> text."""
    text = read_text(LIBRARY.folder / f"{name}.toml", limit=_MAXIMUM_BYTES)
    found = {}
    for line in text.splitlines():
        match = _FACT.fullmatch(line)
        if match is None:
            break
        found[match[1]] = match[2]
    return found


@lru_cache(maxsize=8)
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted((path.stem for path in folder.glob("*.toml")), key=_order))


def _order(name: str) -> tuple[str, float, str]:
    prefix, number = re.fullmatch(r"(.*?)([0-9.]*(?:e-?[0-9]+)?)", name).groups()  # type: ignore[union-attr]
    return prefix, float(number) if re.fullmatch(r"[0-9.]*[0-9](e-?[0-9]+)?", number) else 0.0, name


@lru_cache(maxsize=256)
def _load(path: Path) -> Design:
    return Design.load(path)
