"""What a command line means by a design: a name, a cell's array, or a file of any kind that holds a multiplier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.designs.named_designs import NAMED, design
from circuits.designs.spelled_designs import is_spelled, spelled_design
from circuits.errors import DesignError, UnknownNameError
from circuits.exchange.table_circuit import design_from_table
from circuits.exchange.table_files import TABLE_SUFFIXES, read_table
from circuits.support.files import read_bytes

_CIRCUIT_SUFFIXES = (".v", ".sv", ".blif")


def find_design(text: str, cells: Mapping[str, AdderCell] | None = None) -> Design:
    """The design that a command line means by `text`.

    That is a named design, a circuit of the library (u8_mae0.037), "CELL_array" (a ripple array of one cell), a design
    spelled out ("drum:width:8:k:4", see `spelled_designs`), or the path of a file: a design (.toml), a circuit (.v,
    .sv, .blif) or a product table (.npy, .bin, .txt, .h; see `table_files`). Circuits and tables are called by their
    files. `cells`: a user's own cells by name, for arrays, spelled designs and .toml files. `circuits import` has the
    options that a bare path lacks. Raises DesignError, UnknownNameError for an unknown name.
    """
    if is_spelled(text):
        return spelled_design(text, cells)
    suffix = Path(text).suffix.lower()
    if suffix == ".toml":
        return Design.load(text, cells)
    if suffix in _CIRCUIT_SUFFIXES:
        return _circuit_design(Path(text))
    if suffix in TABLE_SUFFIXES:
        return table_design(Path(text))
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


def table_design(path: Path, *, signed: bool | None = None, exchange: bool = False, name: str | None = None) -> Design:
    """The design of a file with a product table; `exchange`: its first axis is the second operand."""
    table = read_table(path, signed=signed)
    if exchange and table.ndim == 2:
        table = table.T
    try:
        return design_from_table(table, signed=signed, name=name or path.stem[:100])
    except DesignError as error:
        raise type(error)(f"{path}: {error}") from None


def _circuit_design(path: Path) -> Design:
    # The readers of Verilog and BLIF are a third of the imports that --help would wait for.
    from circuits.hdl.reading import MAXIMUM_BYTES, read_circuit

    content = read_bytes(path, limit=MAXIMUM_BYTES, what="a Verilog or BLIF file")
    circuit = read_circuit([(str(path), content.decode("utf-8", errors="replace"))])
    try:
        return Design(circuit=circuit.netlist, format=None, name=path.stem[:100])
    except DesignError as error:
        raise type(error)(f"{path}: {error}") from None
