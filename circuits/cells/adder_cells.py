"""Full-adder cells: truth tables as papers print them, the library, and users' cells from TOML.

Row r of a table is A B Cin = r in binary, A the high bit, which is the order of the published tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from circuits.cells.expressions import truth_table
from circuits.errors import DesignError, unknown_name
from circuits.netlists.truth_table import from_text
from circuits.support.documents import MAX_TOML_BYTES, read_toml
from circuits.support.files import decode, read_bytes
from circuits.support.text import check_text

_TABLE = re.compile(r"[01]{8}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_COSTS = ("transistors", "delay_ps", "energy_fj", "area_um2")


@dataclass(frozen=True, slots=True)
class AdderCell:
    """A one-bit adder cell with inputs A, B, Cin and outputs sum and carry, as plain data.

    `sum`, `carry`: 8 characters 0/1 for rows A B Cin = 000..111. `transistors`: their number, or None if unknown.
    Optional measured values: `delay_ps` (of the worst arc), `energy_fj` (per output transition), `area_um2`; the cost
    model estimates missing ones and marks them as estimates. `source` says where the table was published.
    Cells are equal when all fields are equal; `behaviour` leaves out names and costs.
    Raises DesignError when a field is malformed.
    """

    name: str
    sum: str
    carry: str
    transistors: int | None = None
    source: str = ""
    delay_ps: float | None = None
    energy_fj: float | None = None
    area_um2: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DesignError(
                f"a cell name must be a letter followed by letters, digits, '_', '.' or '-' (at most 64), "
                f"but got {self.name!r}; rename the cell."
            )
        for field in ("sum", "carry"):
            table = getattr(self, field)
            if not isinstance(table, str) or not _TABLE.fullmatch(table):
                raise DesignError(
                    f"{field} of cell {self.name!r} must be 8 characters 0 or 1 for rows A B Cin = 000..111, "
                    f"but got {table!r}; correct the truth table."
                )
        for field in _COSTS:
            value = getattr(self, field)
            if value is None:
                continue
            number = isinstance(value, int if field == "transistors" else (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value < 1e9:
                raise DesignError(
                    f"{field} of cell {self.name!r} must be a number from 0 to 1e9, but got {value!r}; correct it."
                )
        if not isinstance(self.source, str):
            raise DesignError(f"source of cell {self.name!r} must be text, but got {self.source!r}; quote it.")
        check_text(f"source of cell {self.name!r}", self.source)

    @classmethod
    def from_expressions(cls, name: str, sum: str, carry: str, **fields: Any) -> AdderCell:
        """A cell from Boolean expressions over A, B and Cin, in any notation that `circuits.cells.expressions` lists.

        As in TOML, `sum` and `carry` may also be rows: 8 characters 0/1 for A B Cin = 000..111.
        """
        return cls(name, _truth_table("sum", sum), _truth_table("carry", carry), **fields)

    @property
    def behaviour(self) -> tuple[str, str]:
        """(sum, carry): everything that simulation needs."""
        return self.sum, self.carry

    @property
    def inputs(self) -> tuple[str, ...]:
        """Port names, the high bit of a row first."""
        return ("a", "b", "cin")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Port names in the order of `tables`."""
        return ("sum", "carry")

    @property
    def tables(self) -> tuple[int, ...]:
        """Truth tables of sum and carry as bytes; bit r is row r."""
        return from_text(self.sum), from_text(self.carry)

    @property
    def errors(self) -> tuple[int, ...]:
        """For rows 000..111: (2 carry + sum) minus the exact A + B + Cin."""
        return tuple(2 * int(self.carry[r]) + int(self.sum[r]) - r.bit_count() for r in range(8))

    @property
    def is_exact(self) -> bool:
        """Whether the cell adds exactly."""
        return not any(self.errors)


def _truth_table(field: str, value: Any) -> str:
    """A truth table from 8 characters or from an expression; digits alone pass unchanged to AdderCell's checks."""
    if not isinstance(value, str):
        raise DesignError(
            f'{field} must be text, 8 characters or an expression, but got {value!r}; quote it: "{value}".'
        )
    rows = value.strip()
    return rows if re.fullmatch(r"[0-9][0-9\s_]+", rows) else truth_table(value)


_TCAD = "Gupta, Mohapatra, Raghunathan, Roy, IEEE TCAD 32(1), 2013"
_TRANSISTORS = "commonly cited, second-hand"
_AXA = "Yang, Jain, Liang, Han, Lombardi, IEEE NANO 2013, AXA{}"
_INXA = "Almurib, Kumar, Lombardi, DATE 2016, InXA{}"
_SESA = "single-exact single-approximate adder SESA{}: only the sum is approximate"


def _equations(name: str, sum: str, carry: str, transistors: int | None, source: str) -> AdderCell:
    return AdderCell.from_expressions(name, sum, carry, transistors=transistors, source=source)


_LIBRARY = (
    AdderCell("exact", "01101001", "00010111", 24, "conventional mirror adder, without output inverters"),
    _equations("ama1", "A'B'C + ABC", "B + AC", 20, f"{_TCAD}, approximation 1; transistors {_TRANSISTORS}"),
    _equations("ama2", "~(AB + AC + BC)", "AB + AC + BC", 14, f"{_TCAD}, approximation 2; transistors {_TRANSISTORS}"),
    _equations("ama3", "~(B + AC)", "B + AC", 11, f"{_TCAD}, approximation 3; transistors {_TRANSISTORS}"),
    _equations("ama4", "A'C + BC", "A", 15, f"{_TCAD}, approximation 4; transistors {_TRANSISTORS}"),
    _equations("ama5", "B", "A", 8, f"{_TCAD}, approximation 5: two buffers"),
    AdderCell("axa1", "01010101", "00101011", 8, _AXA.format(1)),
    AdderCell("axa2", "11000011", "00010111", 6, _AXA.format(2)),
    AdderCell("axa3", "01000001", "00010111", 8, _AXA.format(3)),
    AdderCell("inxa1", "01101001", "01010101", 6, _INXA.format(1)),
    AdderCell("inxa2", "01111101", "00010111", 8, _INXA.format(2)),
    AdderCell("inxa3", "11101000", "00010111", 6, _INXA.format(3)),
    _equations("afa", "A ^ B ^ C", "A", None, "Dutt, Nandi, Trivedi, 2016, AFA"),
    _equations("sesa1", "A ^ B ^ C | A'B'C'", "AB + AC + BC", None, _SESA.format(1)),
    _equations("sesa2", "0", "AB + AC + BC", None, _SESA.format(2)),
    _equations("sesa3", "1", "AB + AC + BC", None, _SESA.format(3)),
    _equations("tsaa", "A ^ B ^ C", "~(A ^ B ^ C)", None, "TSAA: sum exact, carry its complement"),
    _equations("loa", "A | B", "0", None, "Mahdiani et al., IEEE TCAS-I 57(4), 2010, lower-part OR adder: no carry"),
)

CELLS: Mapping[str, AdderCell] = MappingProxyType({cell.name: cell for cell in _LIBRARY})
"""The cell library by name."""

EXACT = CELLS["exact"]
"""The exact mirror adder."""


def cell(name: str, extra: Mapping[str, AdderCell] | None = None) -> AdderCell:
    """The cell of that name from the library or from `extra`; UnknownNameError names the nearest valid names."""
    known = {**CELLS, **(extra or {})}
    if name not in known:
        raise unknown_name("cell", name, known)
    return known[name]


def cells_from_table(table: Any, where: str) -> dict[str, AdderCell]:
    """User cells from a parsed TOML `[cells]` table; `where` names the file in errors.

    Each entry is `[cells.NAME]` with `sum` and `carry` (8 characters, or expressions), optional `transistors`,
    `delay_ps`, `energy_fj`, `area_um2`, `source`. The names of library cells are reserved.
    """
    if not isinstance(table, dict):
        raise DesignError(f"[cells] in {where} must be a table of [cells.NAME] entries, but got {table!r}; correct it.")
    known = {"sum", "carry", "source", *_COSTS}
    cells: dict[str, AdderCell] = {}
    for name, definition in table.items():
        line = f"[cells.{name}] in {where}"
        if not isinstance(definition, dict) or not {"sum", "carry"} <= definition.keys():
            raise DesignError(f"{line} must have sum and carry, but got {_brief(definition)}; add the truth tables.")
        if unknown := sorted(definition.keys() - known):
            raise DesignError(
                f"the keys of {line} must be among {', '.join(sorted(known))}, but got {unknown[0]!r}; remove it."
            )
        fields = {key: definition[key] for key in known - {"sum", "carry"} if key in definition}
        try:
            sum_rows, carry_rows = (_truth_table(key, definition[key]) for key in ("sum", "carry"))
            user_cell = AdderCell(name, sum_rows, carry_rows, **fields)
        except DesignError as error:
            raise DesignError(f"{line}: {error}") from None
        if name in CELLS:
            raise DesignError(f"{line} must not reuse the reserved name of a library cell, {name!r}; choose another.")
        cells[name] = user_cell
    return cells


def load_cells(path: str | Path) -> dict[str, AdderCell]:
    """User cells by name from a TOML file (see `cells_from_table`); raises DesignError naming file and line."""
    document = read_toml(path)
    if "cells" not in document and "compressors" in document:
        return {}
    if "cells" not in document:
        raise DesignError(f"{path} must hold [cells.NAME] tables, but has none; add at least one cell.")
    try:
        return cells_from_table(document["cells"], str(path))
    except DesignError as error:
        raise DesignError(_with_line(str(error), path)) from None


def _brief(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, dict) and value else repr(value)


def _with_line(message: str, path: str | Path) -> str:
    """`message` with the line number of the [cells.NAME] header that it names."""
    match = re.search(r"\[cells\.([^\]]+)\]", message)
    if match is None:
        return message
    header = re.compile(rf"\s*\[\s*cells\s*\.\s*[\"']?{re.escape(match[1])}[\"']?\s*\]")
    text = decode(read_bytes(path, limit=MAX_TOML_BYTES), path, what="TOML")
    for number, line in enumerate(text.split("\n"), 1):
        if header.match(line):
            return message.replace(f"in {path}", f"in {path} line {number}", 1)
    return message
