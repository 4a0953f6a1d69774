"""The named designs, and how a command line names a design."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.designs.definitions import DEFINITIONS
from circuits.designs.design_library import LIBRARY
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import UnknownNameError, unknown_name

NAMED: Mapping[str, Design] = MappingProxyType(
    {name: Design(**definition, name=name) for name, definition in DEFINITIONS.items()}
)
"""The named designs."""


def design(name: str) -> Design:
    """The named design, or that circuit of the library; UnknownNameError lists the nearest names where there is none.

    >>> design("axfpm").describe()["placement"]
    'ama5 everywhere'
    """
    if name in NAMED:
        return NAMED[name]
    if name in LIBRARY:
        return LIBRARY[name]
    # A hundred names of the library would bury the others: only what looks like one of them is compared with them.
    raise unknown_name("design", name, LIBRARY if re.match(r"[us][0-9]+", name) else NAMED)


def find_design(text: str, cells: Mapping[str, AdderCell] | None = None) -> Design:
    """The design that a command line means by `text`.

    That is a named design, a circuit of the library, "CELL_array" (a ripple array of one cell) or a path that ends in
    .toml. `cells`: a user's own cells by name, for the latter two. Raises DesignError, UnknownNameError for an unknown
    name.
    """
    if text.endswith(".toml"):
        return Design.load(text, cells)
    known = {**CELLS, **(cells or {})}
    if text not in NAMED and text.endswith("_array") and (name := text.removesuffix("_array")) in known:
        return Design(placement=known[name], name=text)
    if text not in NAMED and text in known:
        raise UnknownNameError(
            f"a design must be named, but {text!r} is a cell; {text}_array is the ripple array of it, a .toml file any "
            "other."
        )
    return design(text)


def find_designs(texts: Iterable[str], cells: Mapping[str, AdderCell] | None = None) -> list[Design]:
    """The designs that a command line means, each as `find_design` reads it, with labels that differ."""
    return told_apart([find_design(text, cells) for text in texts])
