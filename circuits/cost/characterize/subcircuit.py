"""A user's cell as a SPICE subcircuit: read defensively, characterised, written as [cells.NAME] for a TOML file.

The file holds one subcircuit with the ports a, b, cin, sum, carry, a supply (vdd or vcc) and a ground (vss or gnd), in
any order, of M, R and C lines with the models NMOS_VTG and PMOS_VTG. SPICE can include files and run commands;
therefore every line is matched in full, and nothing else is passed to the simulator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.cost.characterize.spice import version
from circuits.cost.characterize.spice_measurements import Measured, measure
from circuits.cost.characterize.transistors import COLUMN_AREA, FINGER_N, FINGER_P
from circuits.errors import DesignError
from circuits.netlists.truth_table import to_text
from circuits.support.documents import toml_comment, toml_key, toml_string
from circuits.support.files import decode, read_bytes
from circuits.support.text import shorten

MAXIMUM_BYTES = 256 * 1024
MAXIMUM_DEVICES = 500
MAXIMUM_WIDTH = 1e6
"""nm, of one transistor."""
INPUTS, OUTPUTS = ("a", "b", "cin"), ("sum", "carry")
_SUPPLY, _GROUND = ("vdd", "vcc"), ("vss", "gnd")
SLEW, LOAD = 40e-12, 5e-15
"""Where a user's cell is measured: an input ramp (s) as in arrays of mirror adders, the load (F) of a mirror adder's
input."""
_NUMBER = r"[0-9.]+(?:e[+-]?[0-9]+)?(?:[fpnum]|meg|k)?"
_NET = r"[a-z0-9_.#:\[\]]+"
_UNITS = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "meg": 1e6, "": 1.0}


@dataclass(frozen=True)
class Subcircuit:
    """`text`: the checked subcircuit with its ports in our order; `widths`: (NMOS, PMOS) widths in nm."""

    name: str
    text: str
    widths: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def transistors(self) -> int:
        """Their number."""
        return sum(map(len, self.widths))

    @property
    def area(self) -> float:
        """um^2, as `transistors.Schematic.area` counts columns; all transistors count as one stage, as stages are not
        known."""
        fingers = (
            sum(int(np.ceil(width / finger)) for width in widths)
            for widths, finger in zip(self.widths, (FINGER_N, FINGER_P), strict=True)
        )
        return COLUMN_AREA * (max(fingers) + 1)


def read_subcircuit(path: Path) -> Subcircuit:
    """The only subcircuit in a file; DesignError names the line and what to correct."""
    data = read_bytes(path, limit=MAXIMUM_BYTES)
    text = decode(data, path, what="a SPICE netlist in UTF-8")
    name, ports = "", []
    devices: list[str] = []
    widths: tuple[list[float], list[float]] = ([], [])
    ended = False
    for number, line in _logical_lines(text):
        words = line.split()
        where = f"{path} line {number}"
        if words[0] == ".subckt":
            if name or len(words) < 3 or not re.fullmatch(r"[a-z_][a-z0-9_]{0,63}", words[1]):
                raise DesignError(f"{where} must start the only subcircuit, .subckt NAME PORTS; correct it.")
            name, ports = words[1], words[2:]
            continue
        if words[0] == ".ends":
            ended = True
            continue
        if words[0] == ".end":
            continue
        if not name or ended:
            raise DesignError(f"{where} must stand inside .subckt ... .ends, but does not; remove {line[:40]!r}.")
        devices.append(_device(line, where, widths))
    if not name or not ended:
        raise DesignError(f"{path} must hold .subckt ... .ends, but has none; add it.")
    if not any(widths) or len(devices) > MAXIMUM_DEVICES:
        raise DesignError(f"{path} must have 1 to {MAXIMUM_DEVICES} devices, but has {len(devices)}; give one cell.")
    order = [_port(path, ports, (wanted,)) for wanted in (*INPUTS, *OUTPUTS)]
    order += [_port(path, ports, _SUPPLY), _port(path, ports, _GROUND)]
    if len(ports) != len(order):
        raise DesignError(
            f"the ports of {name!r} in {path} must be {', '.join((*INPUTS, *OUTPUTS))}, vdd and vss, but are "
            f"{', '.join(ports)}; rename or remove ports."
        )
    body = "\n".join([f".subckt user_cell {' '.join(order)}", *devices, ".ends", ""])
    return Subcircuit(name, body, (tuple(widths[0]), tuple(widths[1])))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """(number, line) in lower case, continuations joined, comments dropped."""
    lines: list[tuple[int, list[str]]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("$")[0].split(";")[0].strip().lower()
        if not line or line.startswith("*"):
            continue
        if line.startswith("+") and lines:
            lines[-1][1].append(line[1:].strip())
        else:
            lines.append((number, [line]))
    return [(number, " ".join(parts)) for number, parts in lines]


def _device(line: str, where: str, widths: tuple[list[float], list[float]]) -> str:
    """The checked line of one device; adds a transistor's width, nm, to `widths` (NMOS, PMOS)."""
    line = " ".join(line.split()).replace(" =", "=").replace("= ", "=")
    if re.fullmatch(rf"[rc]{_NET}(?: {_NET}){{2}} {_NUMBER}[a-z]*", line):
        _value(line.split()[-1], where, "a resistance or capacitance")
        return line
    match = re.fullmatch(
        rf"m{_NET}(?: {_NET}){{4}} (?P<kind>[np])mos_vtg(?P<rest>(?: [a-z]+={_NUMBER}[a-z]*)+)",
        line,
    )
    if match is None:
        raise DesignError(
            f"{where} must be M (models NMOS_VTG or PMOS_VTG, numbers as parameters), R or C, but is {line[:60]!r}; "
            f"correct it."
        )
    parameters = dict(part.split("=") for part in match["rest"].split())
    if not {"w", "l"} <= parameters.keys():
        raise DesignError(f"{where} must give w= and l= of its transistor, but does not; add them.")
    values = {name: _value(text, where, name) for name, text in parameters.items()}
    width = values["w"] * 1e9 * values.get("m", 1.0)
    if not 0 < width <= MAXIMUM_WIDTH:
        raise DesignError(
            f"{where} must have a width w, times m, of at most {MAXIMUM_WIDTH:g} nm, but has {width:g} nm; correct it."
        )
    widths[0 if match["kind"] == "n" else 1].append(width)
    return line


def _value(text: str, where: str, name: str) -> float:
    """A SPICE number with its unit; DesignError if it is malformed or too large for a double."""
    match = re.match(r"([0-9.]+(?:e[+-]?[0-9]+)?)(meg|[fpnumk])?", text)
    assert match is not None
    try:
        value = float(match[1]) * _UNITS[match[2] or ""]
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise DesignError(f"{where} must give {name} as a number, but got {shorten(text)!r}; correct it.")
    return value


def _port(path: Path, ports: Sequence[str], names: Sequence[str]) -> str:
    """The first of `names` among the ports."""
    for name in names:
        if name in ports:
            return name
    raise DesignError(
        f"the subcircuit in {path} must have a port {' or '.join(names)}, but has {', '.join(ports)}; add it."
    )


def to_toml(path: Path, models: Sequence[Path]) -> str:
    """The subcircuit as text of a TOML table [cells.NAME]; see `as_cell`. Measured at SLEW and LOAD with `models`."""
    subcircuit = read_subcircuit(path)
    measured = measure(subcircuit.text, "user_cell", INPUTS, OUTPUTS, models, slew=SLEW, load=LOAD)
    cell = as_cell(subcircuit, measured, path)
    lines = [
        f"{toml_comment(path.name)} by python -m circuits characterize --cell, {version()}, nom, input ramp "
        f"{SLEW * 1e12:g} ps, load {LOAD * 1e15:g} fF",
        f"[cells.{toml_key(cell.name)}]",
        f'sum = "{cell.sum}"',
        f'carry = "{cell.carry}"',
        f"transistors = {cell.transistors}",
        f"delay_ps = {cell.delay_ps}",
        f"energy_fj = {cell.energy_fj}",
        f"area_um2 = {cell.area_um2}",
        f"source = {toml_string(cell.source)}",
    ]
    return "\n".join(lines) + "\n"


def as_cell(subcircuit: Subcircuit, measured: Measured, path: Path) -> AdderCell:
    """The cell that the measurement describes: simulated truth tables, worst arc, energy and area.

    The energy is the mean over all single-input transitions that change an output, per output changed, without the
    load. Raises DesignError if the name is that of a library cell.
    """
    if subcircuit.name in CELLS:
        raise DesignError(
            f"the subcircuit in {path} must not reuse the reserved name of a library cell, {subcircuit.name!r}; "
            f"rename it."
        )
    changing = [event for event in measured.events if event.delay]
    tables = [to_text(table) for table in measured.tables]
    energy = sum(event.energy for event in changing) / max(sum(len(event.delay) for event in changing), 1)
    worst = max((delay for event in changing for delay in event.delay.values()), default=0.0)
    return AdderCell(
        subcircuit.name,
        tables[0],
        tables[1],
        subcircuit.transistors,
        f"SPICE subcircuit {re.sub(r'[^A-Za-z0-9_.-]', '_', path.name)}",
        round(worst * 1e12, 2),
        round(max(energy, 0.0) * 1e15, 4),
        round(subcircuit.area, 3),
    )
