"""Designs as TOML: [design], own cells in [cells.NAME], compressors in [compressors.NAME], a circuit in [netlist].

Everything here works on plain dictionaries of the fields of `Design`, which alone decides whether they make sense.

    [design]
    topology = "carry_save_array"
    format = "integer"                # for format=None, which TOML cannot write
    width = [8, 8]
    placement = { rows = ["mine", ..., "exact"] }

    [cells.mine]
    sum = "A ^ B"
    carry = "C"
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from circuits.cells.adder_cells import CELLS, AdderCell, cells_from_table
from circuits.cells.compressors import COMPRESSORS, Compressor, compressors_from_table
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.multipliers.compressor_option import with_own
from circuits.netlists.block_options import NONE
from circuits.netlists.imported import from_text, to_text
from circuits.netlists.netlist import Netlist
from circuits.support.documents import toml_key, toml_value


def write_design(
    values: Mapping[str, Any],
    circuit: Netlist | None,
    cells: Iterable[AdderCell],
    compressors: Iterable[Compressor] = (),
) -> str:
    """The TOML text of a design.

    `values`: its fields by name, in the order in which they are written. `circuit`: its own circuit, or None. `cells`,
    `compressors`: all in it; those that the libraries do not have are embedded. Raises DesignError where one of these
    has the name of a library cell or compressor.
    """
    lines = ["[design]"]
    for name, value in values.items():
        data = _field_data(name, value)
        if data is not None:
            lines.append(f"{name} = {toml_value(data)}")
    if circuit is not None:
        # Names in it are plain words, so the text needs no escapes.
        lines += ["", "[netlist]", f"text = '''\n{to_text(circuit)}'''"]
    for cell in {cell.name: cell for cell in cells if CELLS.get(cell.name) != cell}.values():
        lines += _table_lines("cells", cell, CELLS)
    for entry in compressors:
        if COMPRESSORS.get(entry.name) != entry:
            lines += _table_lines("compressors", entry, COMPRESSORS)
    return "\n".join(lines) + "\n"


def _field_data(name: str, value: Any) -> Any:
    """The value of a field as TOML can hold it; None where the field is left out."""
    if name == "placement":
        return value.to_data()
    if name == "options":
        return value.to_data() or None
    if name == "format":
        return "integer" if value is None else value
    return list(value) if name == "width" else value


def _table_lines(
    table: str, entry: AdderCell | Compressor, library: Mapping[str, AdderCell | Compressor]
) -> Iterator[str]:
    """The table of an own cell or compressor."""
    if entry.name in library:
        kind = table.removesuffix("s")
        raise DesignError(
            f"an embedded {kind} must not reuse the reserved name of a library {kind}, but got {entry.name!r}; "
            "rename it."
        )
    yield ""
    yield f"[{table}.{toml_key(entry.name)}]"
    for item in fields(entry):
        value = getattr(entry, item.name)
        if item.name != "name" and value not in (None, ""):
            yield f"{item.name} = {toml_value(value)}"


def read_design(
    document: Mapping[str, Any],
    where: str,
    *,
    known: Collection[str],
    cells: Mapping[str, AdderCell] | None = None,
) -> dict[str, Any]:
    """The keyword arguments of `Design` in a parsed TOML document.

    `known`: the fields that [design] may have. `cells`: cells by name that the design may use beside the library's and
    its own, which take precedence. Raises DesignError, which names `where` and what to correct.
    """
    table = document.get("design")
    if not isinstance(table, dict) or document.keys() - {"design", "cells", "compressors", "netlist"}:
        raise DesignError(
            f"{where} must hold [design] and, for cells of its own, [cells.NAME] or [netlist], but got "
            f"{', '.join(document) or 'nothing'}; correct the headers."
        )
    for key in table.keys() - set(known):
        raise DesignError(f"[design] in {where}: {unknown_name('field', key, known)}")
    arguments = dict(table)
    if arguments.get("format") == "integer":
        arguments["format"] = None
    if isinstance(arguments.get("width"), list):
        arguments["width"] = tuple(arguments["width"])
    with errors_naming(where):
        embedded = cells_from_table(document.get("cells", {}), where)
        own = compressors_from_table(document.get("compressors", {}), where)
        arguments["options"] = with_own(arguments.get("options", NONE), own)
        if "netlist" in document:
            arguments["circuit"] = _read_circuit(document["netlist"], embedded)
        arguments["placement"] = Placement.of(arguments.get("placement", "exact"), {**(cells or {}), **embedded})
    return arguments


@contextmanager
def errors_naming(where: str) -> Iterator[None]:
    """Names the document in every error of the fields in its [design]; a wrong type becomes a DesignError too."""
    try:
        yield
    except TypeError as error:
        raise DesignError(f"[design] in {where} must have fields of the right type, but: {error}.") from None
    except DesignError as error:
        raise type(error)(f"[design] in {where}: {error}") from None


def _read_circuit(table: Any, cells: Mapping[str, AdderCell]) -> Netlist:
    if not isinstance(table, dict) or table.keys() != {"text"} or not isinstance(table["text"], str):
        raise DesignError("[netlist] must hold 'text', a circuit as Design.to_toml writes it, and nothing else.")
    return from_text(table["text"], cells)
