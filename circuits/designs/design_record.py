"""Designs: plain data that names one multiplier exactly, TOML in and out, digests, and the named designs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.cells.adder_cells import CELLS, AdderCell, cells_from_table
from circuits.designs.placement import Placement
from circuits.errors import DesignError, UnknownNameError, unknown_name
from circuits.floats import arithmetic
from circuits.multipliers import PORTS, TOPOLOGIES, multiplier
from circuits.netlists.gates import GATES
from circuits.netlists.imported import as_multiplier, declared_signed, from_text, to_text
from circuits.netlists.lut_program import Program, lower
from circuits.netlists.netlist import Component, Netlist
from circuits.support.documents import parse_toml, read_toml, toml_key, toml_value
from circuits.support.text import has_controls

MINIMUM_WIDTH, MAXIMUM_WIDTH = 2, 64
MAXIMUM_NAME = 100
"""Most characters of a design's name."""
_AS_DECLARED: Any = None
"""Signedness of a design that does not state it: what its circuit declares, else unsigned. Never seen on a Design."""


class _DefaultFormat(str):
    """The format of designs that name none: a circuit of their own then makes them integer designs."""


@dataclass(frozen=True)
class Design:
    """One multiplier, exactly: frozen, hashable by content (the name aside), serialisable.

    First operand = activation (rows of the array), second = weight (columns). Fields:

    - `topology`: a name in TOPOLOGIES. `width`: int or (w, v); None takes the format's mantissa width.
    - `format`: a name in floats.FORMATS or "eXmY"; None is a bare integer multiplier.
    - `placement`: a cell or its name, {"columns": ...}, {"rows": ...}, {"tiles": ...} or {"grid": ...} (see Placement).
    - `ports`: which of partial product, running sum, carry drives A, B, Cin, e.g. "psc"; in wallace, dadda and booth
      p, s, c mean the first, second and third bit of the column that a cell takes (`circuits.multipliers.columns`).
    - `half_adders`: "cell" keeps the full cell where an input is the constant 0, "exact" puts an exact half adder.
    - `final_adder`: "exact" (a ripple of exact adders) or "cell", for topologies that end in one.
    - `tile`: cuts both operands into slices of that many bits; the tile products are added exactly.
    - `signed`: operands and product are two's complement; integers only, untiled (see `circuits.multipliers.array_builder`).
      By default what the circuit given as `netlist` declares (`input signed` in Verilog), else False.
    - `truncate_columns`: the lowest product columns left out (partial products and adders), read as 0.
    - `rounding`, `normalization`, `subnormals`: see `circuits.floats.arithmetic`; subnormals=None takes the format's default.
    - `circuit`, in the constructor also `netlist`: a circuit of one's own, read from Verilog for instance, instead of a
      generated one (see `circuits.netlists.imported.as_multiplier`): it fixes the width, and the format is None unless given.
      Fields that say how to generate keep their defaults. `name` then defaults to the circuit's.

    Raises DesignError (UnknownNameError with the nearest names) when the fields name no multiplier.
    """

    topology: str = "ripple_array"
    width: int | tuple[int, int] | None = None
    format: str | None = _DefaultFormat("float32")
    placement: Any = "exact"
    ports: str = "psc"
    half_adders: str = "cell"
    final_adder: str = "exact"
    tile: int | None = None
    signed: bool = _AS_DECLARED
    truncate_columns: int = 0
    rounding: str = "truncate"
    normalization: str = "full"
    subnormals: str | None = None
    circuit: Netlist | None = None
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.signed is _AS_DECLARED:
            put(self, "signed", isinstance(self.circuit, Netlist) and declared_signed(self.circuit))
        imported = self._take_circuit()
        _choose("topology", self.topology, TOPOLOGIES)
        put(self, "placement", Placement.of(self.placement))
        _choose("ports", self.ports, PORTS)
        _choose("half_adders", self.half_adders, ("cell", "exact"))
        _choose("final_adder", self.final_adder, ("exact", "cell"))
        _choose("rounding", self.rounding, arithmetic.ROUNDINGS)
        _choose("normalization", self.normalization, arithmetic.NORMALIZATIONS)
        fmt = None if self.format is None else arithmetic.float_format(self.format)
        put(self, "subnormals", self.subnormals or (fmt.subnormals if fmt else "flush"))
        _choose("subnormals", self.subnormals, arithmetic.SUBNORMALS)
        put(self, "width", _width(self.width, fmt))
        if imported is not None and self.width != imported:
            raise DesignError(
                f"width must be that of the imported circuit, {imported[0]} x {imported[1]}, but got "
                f"{self.shape[0]} x {self.shape[1]}; leave width out, or choose a format with such a mantissa."
            )
        _integer("tile", self.tile, 1, min(self.shape), optional=True)
        self._check_signed()
        _integer("truncate_columns", self.truncate_columns, 0, sum(self.shape) - 1)
        if self.name is not None and not _is_name(self.name):
            raise DesignError(f"a design name must be 1 to 100 printable characters, but got {self.name!r}; rename it.")
        self.placement.check(self.shape, self.tile)
        by_name: dict[str, AdderCell] = {}
        for entry in self._cells():
            if by_name.setdefault(entry.name, entry) != entry:
                raise DesignError(
                    f"cells of one design must have distinct names, but two cells are named {entry.name!r}; rename one."
                )

    def _take_circuit(self) -> tuple[int, int] | None:
        """Brings an imported circuit into its canonical form; its widths."""
        put = object.__setattr__
        circuit = self.circuit
        defaulted = isinstance(self.format, _DefaultFormat)
        if circuit is None:
            put(self, "format", str(self.format) if defaulted else self.format)
            return None
        if not isinstance(circuit, Netlist):
            raise DesignError(f"netlist must be a Netlist or None, but got {circuit!r}; see netlist_from_verilog.")
        for item in fields(self):
            if item.name in _GENERATING and getattr(self, item.name) not in (item.default, Placement.of("exact")):
                raise DesignError(
                    f"{item.name} must keep its default {item.default!r} in a design with a netlist of its own, but "
                    f"got {getattr(self, item.name)!r}; leave it out."
                )
        made = as_multiplier(circuit, signed=self.signed is True)
        put(self, "circuit", made)
        w, v = (len(bus) for bus in made.inputs.values())
        if defaulted:
            put(self, "format", None)
        if self.width is None and self.format is None:
            put(self, "width", (w, v))
        if self.name is None and circuit.name != made.name and _is_name(circuit.name):
            put(self, "name", circuit.name)
        return w, v

    def _cells(self) -> Iterator[AdderCell]:
        """The adder cells that the design names, repetitions included."""
        if self.circuit is None:
            yield from self.placement.all_cells()
            return
        for instance in self.circuit.instances:
            if isinstance(instance.component, AdderCell):
                yield instance.component

    def _check_signed(self) -> None:
        if not isinstance(self.signed, bool):
            raise DesignError(f"signed must be true or false, but got {self.signed!r}; correct it.")
        if self.signed and self.format is not None:
            raise DesignError(
                f"a signed design must be an integer design, because mantissas are unsigned, but got "
                f"format={self.format!r}; set format=None and a width, or signed=False."
            )
        if self.signed and self.tile is not None:
            raise DesignError(
                f"a signed design must be untiled, because tiles are unsigned arrays, but got tile={self.tile}; "
                f"leave tile out or set signed=False."
            )

    def __hash__(self) -> int:
        # Kept, because every cache asks for it and a placement may hold thousands of cells; not sent to other
        # processes, where strings hash differently.
        if "_hash" not in self.__dict__:
            content = tuple(getattr(self, item.name) for item in fields(self) if item.compare)
            object.__setattr__(self, "_hash", hash(content))
        return int(self.__dict__["_hash"])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    # What follows from the fields.

    @property
    def shape(self) -> tuple[int, int]:
        """(w, v): widths of the first and the second operand of the mantissa circuit."""
        assert isinstance(self.width, tuple)
        return self.width

    @property
    def float_format(self) -> arithmetic.FloatFormat | None:
        """The format, or None for an integer multiplier."""
        return None if self.format is None else arithmetic.float_format(self.format)

    @property
    def has_final_adder(self) -> bool:
        """Whether the field `final_adder` chooses anything: rows that ripple end without one."""
        return TOPOLOGIES[self.topology].has_final_adder

    @property
    def label(self) -> str:
        """The name with its standing, e.g. "heap (reconstructed)"; a short digest when unnamed."""
        if self.name is None:
            return self.digest[:10]
        note = NOTES.get(self.name) if NAMED.get(self.name) == self else None
        return f"{self.name} ({note})" if note else self.name

    @property
    def imported(self) -> Netlist | None:
        """The same as `circuit`."""
        return self.circuit

    def netlist(self) -> Netlist:
        """The mantissa multiplier as drawn: the design's own circuit, or the generated one.

        Buses x (w bits), y (v bits) and product (w + v bits, one more if tiles or an imported circuit can exceed that).
        """
        return self.circuit or _netlist(self)

    def program(self) -> Program:
        """The LUT program of `netlist()`."""
        return _program(self)

    @property
    def digest(self) -> str:
        """Hex digest of the behaviour (truth tables, structure, float semantics; no names); stable across machines."""
        return _digest(self)

    @property
    def cost_digest(self) -> str:
        """Hex digest of behaviour and cost data: cells that behave alike may cost differently.

        A library cell or gate counts by name, since it is characterised; others by the numbers that they give.
        """
        digest = hashlib.sha256(f"cost 2 {self.digest}".encode())
        for instance in self.netlist().instances:
            digest.update(_cost_data(instance.component))
        return digest.hexdigest()

    def multiply(self, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> NDArray[np.float32]:
        """Gate-exact float32 products of activations `x` and weights `w` (broadcast); see `circuits.floats.arithmetic`.

        `backend`: "compiled", "interpreted" (nothing compiled for this design) or "reference"; "auto" compiles, except
        where that takes longer than the products. The products are the same.
        """
        from circuits.engine import float_operations

        if self.float_format is None:
            raise DesignError("multiply needs a float format, but got format=None; use multiply_integers.")
        return float_operations.multiply(self, x, w, backend=backend)

    def multiply_integers(self, x: ArrayLike, y: ArrayLike, *, backend: str = "auto") -> NDArray[Any]:
        """The mantissa circuit alone on integers (broadcast): x drives the rows, y the columns.

        Unsigned, 0 <= x < 2^w, 0 <= y < 2^v: uint64 up to 64 product bits, object integers beyond. Signed,
        -2^(w-1) <= x < 2^(w-1), likewise y: int64, or object. Raises DesignError on values out of range.
        `backend` as for `multiply`.
        """
        from circuits.engine import integer_operations

        return integer_operations.multiply(self.program(), x, y, signed=self.signed, backend=backend)

    def describe(self) -> dict[str, str]:
        """The exact definition, field by field, as printed above every number; integers have no float rules."""
        w, v = self.shape
        named = {entry.name: entry for entry in self._cells()}
        port_names = dict(zip("psc", TOPOLOGIES[self.topology].port_names, strict=True))
        described = {
            "topology": self.topology,
            "width": f"{w} x {v}",
            "format": self.format or ("signed integer (two's complement)" if self.signed else "unsigned integer"),
            "placement": self.placement.describe(),
            "ports (A,B,Cin)": ", ".join(port_names[port] for port in self.ports),
            "half adders": self.half_adders,
            "final adder": self.final_adder if self.has_final_adder else "none (ripple rows)",
            "tile": "none" if self.tile is None else f"{self.tile} x {self.tile}, added exactly",
            "truncated columns": str(self.truncate_columns),
            **self._float_rules(),
            "cells": "; ".join(f"{c.name} sum {c.sum} carry {c.carry}" for c in named.values()) or "none",
        }
        if self.circuit is not None:
            counts = ", ".join(f"{count} {name}" for name, count in self.circuit.count().items())
            described["topology"] = f"imported, {len(self.circuit.instances)} cells and gates"
            described["placement"] = counts or "wires only"
            for key in ("ports (A,B,Cin)", "half adders", "final adder", "tile", "truncated columns"):
                described[key] = "as imported"
        return described

    def _float_rules(self) -> dict[str, str]:
        """What happens around the mantissa circuit: nothing where there is no float format."""
        if self.format is None:
            return {}
        names = ("rounding", "normalization", "subnormals")
        return {name: str(getattr(self, name)) for name in names}

    # TOML.

    def to_toml(self) -> str:
        """The design as TOML; cells that the library does not have are embedded."""
        lines = ["[design]"]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "circuit" or (self.circuit and item.name in (*_GENERATING, "width")):
                continue
            if item.name == "placement":
                value = value.to_data()
            elif item.name == "format" and value is None:
                value = "integer"
            elif item.name == "width":
                value = list(value)
            if value is not None:
                lines.append(f"{item.name} = {toml_value(value)}")
        if self.circuit is not None:
            # Names in it are plain words, so the text needs no escapes.
            lines += ["", "[netlist]", f"text = '''\n{to_text(self.circuit)}'''"]
        own = {entry.name: entry for entry in self._cells() if CELLS.get(entry.name) != entry}
        for name, entry in own.items():
            if name in CELLS:
                raise DesignError(
                    f"an embedded cell must not reuse the reserved name of a library cell, but got {name!r}; rename it."
                )
            lines += ["", f"[cells.{toml_key(name)}]"]
            for item in fields(entry):
                value = getattr(entry, item.name)
                if item.name != "name" and value not in (None, ""):
                    lines.append(f"{item.name} = {toml_value(value)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, *, where: str = "the TOML text") -> Design:
        """The design that `to_toml` or a person wrote; DesignError names `where` and what to correct."""
        return cls._from_document(parse_toml(text, where), where)

    @classmethod
    def load(cls, path: str | Path, cells: Mapping[str, AdderCell] | None = None) -> Design:
        """The design in a TOML file; `cells` may be named in it as those that it embeds, which take precedence."""
        return cls._from_document(read_toml(path), str(path), cells)

    @classmethod
    def _from_document(
        cls, document: dict[str, Any], where: str, extra: Mapping[str, AdderCell] | None = None
    ) -> Design:
        entries = document.get("design")
        if not isinstance(entries, dict) or document.keys() - {"design", "cells", "netlist"}:
            raise DesignError(
                f"{where} must hold [design] and, for cells of its own, [cells.NAME] or [netlist], but got "
                f"{', '.join(document) or 'nothing'}; correct the headers."
            )
        known = {item.name for item in fields(cls)} - {"circuit"}  # which is the table [netlist]
        for key in entries.keys() - known:
            raise DesignError(f"[design] in {where}: {unknown_name('field', key, known)}")
        arguments = dict(entries)
        if arguments.get("format") == "integer":
            arguments["format"] = None
        if isinstance(arguments.get("width"), list):
            arguments["width"] = tuple(arguments["width"])
        try:
            embedded = cells_from_table(document.get("cells", {}), where)
            cells = {**(extra or {}), **embedded}
            if "netlist" in document:
                arguments["circuit"] = _netlist_from_table(document["netlist"], embedded)
            arguments["placement"] = Placement.of(arguments.get("placement", "exact"), cells)
            return cls(**arguments)
        except TypeError as error:
            raise DesignError(f"[design] in {where} must have fields of the right type, but: {error}.") from None
        except DesignError as error:
            raise type(error)(f"[design] in {where}: {error}") from None


def _accepting_netlist(initialise: Callable[..., None]) -> Callable[..., None]:
    """The constructor of Design, with `netlist` as another name of the field `circuit`.

    It cannot be the field's own name, since `design.netlist()` is the method that draws any design.
    """

    @wraps(initialise)
    def initialise_either(self: Design, *arguments: Any, netlist: Netlist | None = None, **named: Any) -> None:
        if netlist is not None:
            named["circuit"] = netlist
        initialise(self, *arguments, **named)

    return initialise_either


Design.__init__ = _accepting_netlist(Design.__init__)  # type: ignore[method-assign]

_GENERATING = (
    "topology",
    "placement",
    "ports",
    "half_adders",
    "final_adder",
    "tile",
    "truncate_columns",
)


def _choose(what: str, value: Any, valid: Any) -> None:
    if not isinstance(value, str) or value not in valid:
        raise unknown_name(what, str(value), valid)


def _integer(what: str, value: Any, low: int, high: int, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DesignError(f"{low} <= {what} <= {high} must hold, but got {value!r}; choose an integer in that range.")


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= MAXIMUM_NAME and not has_controls(name)


def _width(width: Any, fmt: arithmetic.FloatFormat | None) -> tuple[int, int]:
    if width is None:
        if fmt is None:
            raise DesignError("an integer design (format=None) must have a width, but got None; give width=8, say.")
        return fmt.width, fmt.width
    pair = (width, width) if isinstance(width, int) else width
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise DesignError(f"width must be an integer or a pair (w, v), but got {width!r}; correct it.")
    for entry in pair:
        _integer("width", entry, MINIMUM_WIDTH, MAXIMUM_WIDTH)
    if fmt is not None and pair != (fmt.width, fmt.width):
        raise DesignError(
            f"width must be {fmt.width} for format {fmt.name} (hidden one included), but got {width!r}; "
            f"leave width out or change the format."
        )
    return pair


def _netlist_from_table(table: Any, cells: Mapping[str, AdderCell]) -> Netlist:
    if not isinstance(table, dict) or table.keys() != {"text"} or not isinstance(table["text"], str):
        raise DesignError("[netlist] must hold 'text', a circuit as Design.to_toml writes it, and nothing else.")
    return from_text(table["text"], cells)


@lru_cache(maxsize=32)
def _netlist(design: Design) -> Netlist:
    placement = design.placement
    # A sum of tiles can exceed w + v bits only where a tile overestimates: never with exact cells, except where
    # truncation makes a tile wrap around.
    inexact = not all(entry.is_exact for entry in placement.all_cells())
    wraps = TOPOLOGIES[design.topology].truncation_may_wrap and design.truncate_columns > 0
    overflow = design.tile is not None and (inexact or wraps)
    return multiplier(
        design.topology,
        design.shape,
        lambda i, j: placement.at(i, j, design.tile),
        ports=design.ports,
        half_adders=design.half_adders,
        final_adder=design.final_adder,
        tile=design.tile,
        signed=design.signed,
        truncate_columns=design.truncate_columns,
        overflow_bit=overflow,
    )


@lru_cache(maxsize=32)
def _program(design: Design) -> Program:
    return lower(design.netlist())


@lru_cache(maxsize=1024)
def _digest(design: Design) -> str:
    fmt = design.float_format
    semantics: tuple[Any, ...] = ("signed",) if design.signed else ()
    if fmt is not None:
        shape = (fmt.exponent_bits, fmt.fraction_bits, fmt.infinity)
        semantics = (*shape, design.rounding, design.normalization, design.subnormals)
    return hashlib.sha256(f"design 1 {semantics} {design.netlist().digest()}".encode()).hexdigest()


@lru_cache(maxsize=4096)
def _cost_data(part: Component) -> bytes:
    library = CELLS if isinstance(part, AdderCell) else GATES
    if library.get(part.name) == part:
        return repr(part.name).encode()
    measured = (part.delay_ps, part.energy_fj, part.area_um2) if isinstance(part, AdderCell) else ()
    return repr((part.transistors, *measured)).encode()


_AXFPM = Design(placement="ama5", name="axfpm")
_HEAP = Design(  # found by studies/own/heap.py: the nearest to the published fingerprint in that study's spaces
    topology="carry_save_array",
    placement={"columns": ["ama1"] * 43 + ["ama4"] * 5},
    ports="scp",
    half_adders="exact",
    name="heap",
)

NAMED: Mapping[str, Design] = MappingProxyType(
    {
        entry.name or "": entry
        for entry in (
            Design(rounding="nearest_even", name="exact"),
            _AXFPM,
            replace(_AXFPM, tile=4, name="axfpm_tiled"),
            replace(_AXFPM, tile=4, normalization="released", name="axfpm_released"),
            _HEAP,
            Design(topology="booth", format="bfloat16", name="bfloat16"),
            *(Design(placement=f"ama{n}", name=f"ama{n}_array") for n in range(1, 6)),
        )
    }
)
"""The named designs."""

NOTES: Mapping[str, str] = MappingProxyType({"heap": "reconstructed"})
"""The standing of named designs whose cell map was not published (study heap)."""


def design(name: str) -> Design:
    """The named design; UnknownNameError names the nearest."""
    if name not in NAMED:
        raise unknown_name("design", name, NAMED)
    return NAMED[name]


def find_design(text: str, cells: Mapping[str, AdderCell] | None = None) -> Design:
    """What a command line means: a named design, "CELL_array" (a ripple array of one cell), or a path ending in .toml.

    `cells`: a user's own cells by name, for the latter two.
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
    """What a command line means by several designs, each as `find_design` reads it, told apart by their names."""
    return told_apart([find_design(text, cells) for text in texts])


def told_apart(designs: Sequence[Design]) -> list[Design]:
    """The same designs for headings side by side: different ones of one label are renamed "LABEL [DIGEST]".

    The digest is the beginning of `digest`, or of `cost_digest` where some of them differ in their costs only.
    """
    by_label: dict[str, list[Design]] = {}
    for entry in designs:
        by_label.setdefault(entry.label, []).append(entry)
    kinds = {label: _telling_digest(namesakes) for label, namesakes in by_label.items()}
    return [_with_digest(entry, kind) if (kind := kinds[entry.label]) else entry for entry in designs]


def _telling_digest(namesakes: Sequence[Design]) -> str | None:
    """The name of the digest that tells designs of one label apart; None where they are one design."""
    if len(namesakes) == 1 or len({entry.cost_digest for entry in namesakes}) == 1:
        return None
    by_behaviour = len({entry.digest for entry in namesakes}) == len({entry.cost_digest for entry in namesakes})
    return "digest" if by_behaviour else "cost_digest"


def _with_digest(entry: Design, kind: str) -> Design:
    return replace(entry, name=f"{entry.label[:80]} [{getattr(entry, kind)[:10]}]")


def side_by_side(definitions: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """What `Design.describe` says of several designs, line by line; "none" where a line does not concern one."""
    names = dict.fromkeys(name for definition in sorted(definitions, key=len, reverse=True) for name in definition)
    return {name: [definition.get(name, "none") for definition in definitions] for name in names}
