"""Spaces in TOML files.

    [space]
    formats = ["int8"]
    library = ["exact", "builtin", "mine/*.v"]      # relative to the file
    layers = "all"                                  # or conv, linear, names, { NAME = products an image }
    designs = "each"                                # or "one" for all of these layers
    operands = "layers"

    [space.families.drum]                           # options and fields of a design, a value or a list of them
    k = [3, 4, 5]

    [cells.NAME]                                    # cells of its own, as in designs
    [compressors.NAME]                              # compressors of its own

The other fields are those of `dse.space.search_space.Space`. A file with families or a library has no arrays unless it
names topologies, and its format is int8 unless it names others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.cells.adder_cells import AdderCell, cell, cells_from_table
from circuits.cells.compressors import Compressor, compressors_from_table
from circuits.errors import DesignError, unknown_name
from circuits.multipliers.compressor_option import with_own
from circuits.support.documents import read_toml
from dse.space.families import Family
from dse.space.library_members import library_members

__all__ = ["space_fields"]

_LISTS = (
    "topologies",
    "ports",
    "bands",
    "cells",
    "half_adders",
    "final_adders",
    "formats",
    "truncate_columns",
    "library",
)
_INTEGERS = ("bands", "truncate_columns")
_STRINGS = ("name", "granularity", "designs", "operands")
_OTHERS = ("tile", "layers", "families")
_KNOWN = (*_LISTS, *_STRINGS, *_OTHERS)
_DEFAULT_INTEGERS = ("int8",)
_HEADERS = ("space", "cells", "compressors")


def space_fields(path: str | Path) -> tuple[dict[str, Any], dict[str, AdderCell]]:
    """(the fields of the Space in a TOML file, the file's own cells).

    Raises DesignError naming the file and what to correct.
    """
    document = read_toml(path)
    entries = document.get("space")
    if not isinstance(entries, dict) or document.keys() - set(_HEADERS):
        raise DesignError(
            f"{path} must hold [space] and, for cells of its own, [cells.NAME], but got "
            f"{', '.join(document) or 'nothing'}; correct the headers."
        )
    own_cells = cells_from_table(document.get("cells", {}), str(path))
    own_compressors = compressors_from_table(document.get("compressors", {}), str(path))
    fields: dict[str, Any] = {"name": Path(path).stem}
    for key, value in entries.items():
        if key not in _KNOWN:
            raise DesignError(f"[space] in {path}: {unknown_name('field', key, _KNOWN)}")
        fields |= _field(key, value, str(path))
    try:
        _name_objects(fields, Path(path).parent, own_cells, own_compressors)
    except DesignError as error:
        raise type(error)(f"[space] in {path}: {error}") from None
    return fields, own_cells


def _field(key: str, value: Any, path: str) -> dict[str, Any]:
    """The fields of a Space that one entry gives; DesignError where its value has another type."""
    kind = int if key in _INTEGERS else str
    if key in _LISTS:
        if isinstance(value, list) and all(type(entry) is kind for entry in value):
            return {key: tuple(value)}
        wanted = f"a list of {'integers' if kind is int else 'strings'}"
    elif key in _STRINGS:
        if isinstance(value, str):
            return {key: value}
        wanted = "a string"
    elif key == "tile":
        if type(value) is int:
            return {key: value}
        if isinstance(value, list) and value and all(type(entry) is int for entry in value):
            return {key: tuple(value)}
        wanted = "an integer, or a list of integers"
    elif key == "layers":
        if isinstance(value, dict):
            return {key: tuple(value.items())}
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return {"network_layers": tuple(names)}
        wanted = "conv, linear, all, a list of names or a table of products an image"
    else:
        if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
            return {key: value}
        wanted = "tables [space.families.NAME]"
    raise DesignError(f"{key} of [space] in {path} must be {wanted}, but got {value!r}; correct it.")


def _name_objects(
    fields: dict[str, Any],
    folder: Path,
    own_cells: Mapping[str, AdderCell],
    own_compressors: Mapping[str, Compressor],
) -> None:
    """Replaces names by what they name, in place, and fills in what families and a library imply."""
    if "library" in fields or "families" in fields:
        fields.setdefault("formats", _DEFAULT_INTEGERS)
        fields.setdefault("topologies", ())
    if "cells" in fields:
        fields["cells"] = tuple(cell(name, own_cells) for name in fields["cells"])
    if "families" in fields:
        fields["families"] = tuple(_family(name, table, own_compressors) for name, table in fields["families"].items())
    if "library" in fields:
        fields["library"] = library_members(fields["library"], fields["formats"], folder=folder, cells=own_cells)


def _family(name: str, table: Mapping[str, Any], own: Mapping[str, Compressor]) -> Family:
    choices = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    bands = tuple(choices.pop("bands", [0]))
    named = {key: tuple(with_own({key: values}, own)[key]) for key, values in choices.items()}
    return Family(name, tuple(named.items()), bands)
