"""The members of a space's library: `library = ["builtin", "exact", "mine/*.v", "more/*.toml", "heap"]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_library import LIBRARY
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from dse.space.number_formats import number_format

__all__ = ["BUILT_IN", "EXACT", "library_members"]

BUILT_IN = "builtin"
"""The circuits of the package's library that have one of the space's formats."""
EXACT = "exact"
"""The exact ripple array of each of the space's formats."""


def library_members(
    sources: Sequence[str],
    formats: Sequence[str],
    *,
    folder: Path | str = ".",
    cells: Mapping[str, AdderCell] | None = None,
) -> tuple[Design, ...]:
    """The designs that `sources` name, in order, each circuit once, with labels that differ.

    A source is `BUILT_IN`, `EXACT`, a pattern of files ("mine/*.v"), relative to `folder`, or anything that
    `find_design` takes, with `cells`. Raises DesignError for a pattern without a file, and for a design that has none
    of the `formats`.
    """
    held = [number_format(name) for name in formats]
    members: dict[str, Design] = {}
    for source in sources:
        if source == BUILT_IN:
            found = [each for each in LIBRARY.values() if any(entry.holds(each) for entry in held)]
        elif source == EXACT:
            found = [entry.exact for entry in held]
        else:
            found = [find_design(text, cells) for text in _texts(source, Path(folder))]
        if not found:
            raise DesignError(
                f"library source {source!r} must have designs of {', '.join(formats)}, but has none; correct it."
            )
        for each in found:
            if not any(entry.holds(each) for entry in held):
                kind = each.format or f"{'' if each.signed else 'un'}signed integers"
                raise DesignError(
                    f"designs of the library must have format {' or '.join(formats)}, but {each.label} of {source!r} "
                    f"is of {kind}, {each.shape[0]} x {each.shape[1]} bits; add its format, or leave it out."
                )
            members.setdefault(each.cost_digest, each)
    return tuple(told_apart(list(members.values())))


def _texts(source: str, folder: Path) -> list[str]:
    """What `find_design` is to take: the files of a pattern, the file, or the text itself."""
    if has_magic(source):
        files = sorted(glob(source, root_dir=folder, recursive=True))
        if not files:
            raise DesignError(f"library source {source!r} must match a file in {folder}, but matches none; correct it.")
        return [str(folder / file) for file in files]
    return [str(folder / source)] if Path(source).suffix and (folder / source).exists() else [source]
