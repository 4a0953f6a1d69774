"""The design: plain data that names one multiplier exactly, and what follows from it.

A `Design` is immutable, and equal by content, its name aside. Its constructor checks the fields and completes those
that follow from others (the width from the format, say), so that every Design that exists names a multiplier:

    fields  ->  netlist()  ->  program()  ->  products
                netlist()  ->  digest, cost_digest
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.adders.adder_kinds import ADDERS, chosen_adder
from circuits.cells.adder_cells import AdderCell
from circuits.cells.compressors import Compressor
from circuits.designs import design_toml, digests, field_checks
from circuits.designs.definitions import DEFINITIONS, NOTES
from circuits.designs.netlist_templates import NetlistTemplate
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.floats import arithmetic
from circuits.multipliers import FINAL_ADDERS, PORTS, Topology, find_topology, multiplier
from circuits.multipliers.compressor_option import CompressorColumns
from circuits.netlists.block_options import NONE, completed
from circuits.netlists.imported import as_multiplier, declared_signed
from circuits.netlists.lut_program import Program, lower
from circuits.netlists.netlist import Netlist
from circuits.support.documents import parse_toml, read_toml


class _Unstated(Enum):
    """The type of an argument that was left out, where None has a meaning of its own."""

    FORMAT = "float32, or None for a design with a circuit of its own"

    def __repr__(self) -> str:
        return self.value


_GENERATING: Mapping[str, Any] = {
    "topology": "ripple_array",
    "placement": "exact",
    "ports": "psc",
    "half_adders": "cell",
    "final_adder": "exact",
    "tile": None,
    "truncate_columns": 0,
    "options": NONE,
}
"""The fields that say how a circuit is generated, with their defaults."""

_POLICIES = ("ports", "half_adders", "final_adder", "tile", "signed", "truncate_columns", "options")
"""The fields that `generator_policies` gives."""

_TRIED_OPERAND_BITS = 16  # 65,536 pairs take a few milliseconds
_PURPOSES: Mapping[str, str] = {
    "placement": "adder positions to place cells at",
    "ports": "adder cells to wire",
    "half_adders": "half-adder positions",
    "tile": "form in tiles",
    "truncate_columns": "columns to truncate",
}
"""What a field chooses, as part of the error where an architecture has nothing of the kind."""


@dataclass(frozen=True, init=False)
class Design:
    """One multiplier, exactly: immutable, hashable by content (its name aside), serialisable.

    The first operand is the activation and drives the rows of the array, the second is the weight and drives the
    columns. Fields, which are also the arguments of the constructor:

    - `topology`: a name in TOPOLOGIES or FAMILIES.
    - `width`: operand bits, an int or a pair (w, v); None takes the mantissa width of the format.
    - `format`: a name in floats.FORMATS or "eXmY"; None makes a bare integer multiplier. Default: "float32", and None
      where a `circuit` is given.
    - `placement`: a cell or its name, {"columns": ...}, {"rows": ...}, {"tiles": ...} or {"grid": ...} (see Placement).
    - `ports`: which of partial product, running sum and carry drives A, B and Cin, e.g. "psc". In wallace, dadda and
      booth p, s, c mean the first, second and third bit of the column that a cell takes
      (`circuits.multipliers.columns`).
    - `half_adders`: "cell" keeps the full cell where an input is the constant 0, "exact" puts an exact half adder.
    - `final_adder`: "exact" (a ripple of exact adders) or "cell", for topologies that end in one; or an adder of
      `circuits.adders`, such as "loa(lower=6)", over the w + v product columns, bit 0 in column 0.
    - `tile`: cuts both operands into slices of that many bits; the tile products are added exactly.
    - `signed`: operands and product are two's complement; integers only, untiled (see
      `circuits.multipliers.array_builder`). None, the default, takes what the circuit given as `circuit` declares
      (`input signed` in Verilog), else False.
    - `truncate_columns`: the lowest product columns left out (partial products and adders), read as 0.
    - `options`: what a family of approximate multipliers may be told beyond that, name -> value: {"k": 4} for DRUM, say
      (`circuits.multipliers.FAMILIES`, docs/how_to/families.md). Those that are left out take their defaults.
    - `rounding`, `normalization`, `subnormals`: see `circuits.floats.arithmetic`; subnormals=None takes the default of
      the format.
    - `circuit`, in the constructor also `netlist`: a circuit of one's own, read from Verilog for instance, instead of a
      generated one (see `circuits.netlists.imported.as_multiplier`). It fixes the width, and the fields that say how to
      generate a circuit keep their defaults. `name` then defaults to that of the circuit.
    - `name`: 1 to 100 printable characters, or None.

    Raises DesignError (UnknownNameError with the nearest names) when the fields name no multiplier.

    >>> Design(format=None, width=8, placement={"columns": ["ama1"] * 4 + ["exact"] * 12}).multiply_integers(3, 5)
    array(17, dtype=uint64)
    """

    topology: str
    width: int | tuple[int, int] | None
    format: str | None
    placement: Any
    ports: str
    half_adders: str
    final_adder: str
    tile: int | None
    signed: bool
    truncate_columns: int
    options: Any
    rounding: str
    normalization: str
    subnormals: str | None
    circuit: Netlist | None
    name: str | None = field(compare=False)

    def __init__(
        self,
        topology: str = "ripple_array",
        width: int | tuple[int, int] | None = None,
        format: str | _Unstated | None = _Unstated.FORMAT,
        placement: Any = "exact",
        ports: str = "psc",
        half_adders: str = "cell",
        final_adder: str = "exact",
        tile: int | None = None,
        signed: bool | None = None,
        truncate_columns: int = 0,
        rounding: str = "truncate",
        normalization: str = "full",
        subnormals: str | None = None,
        circuit: Netlist | None = None,
        name: str | None = None,
        *,
        netlist: Netlist | None = None,
        options: Mapping[str, Any] = NONE,
    ) -> None:
        circuit = circuit if netlist is None else netlist
        self._set(
            topology=topology,
            width=width,
            format=("float32" if circuit is None else None) if format is _Unstated.FORMAT else format,
            placement=placement,
            ports=ports,
            half_adders=half_adders,
            final_adder=final_adder,
            tile=tile,
            signed=isinstance(circuit, Netlist) and declared_signed(circuit) if signed is None else signed,
            truncate_columns=truncate_columns,
            options=options,
            rounding=rounding,
            normalization=normalization,
            subnormals=subnormals,
            circuit=circuit,
            name=name,
        )
        if circuit is not None:
            self._take_circuit(circuit)
        self._check_names()
        self._complete()
        self._check_sizes()
        self._check_architecture()
        self._check_cells()

    def _set(self, **values: Any) -> None:
        """Sets fields while the object is under construction."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _take_circuit(self, circuit: Any) -> None:
        """Brings the design's own circuit into its canonical form and takes width and name from it."""
        if not isinstance(circuit, Netlist):
            raise DesignError(f"netlist must be a Netlist or None, but got {circuit!r}; see netlist_from_verilog.")
        for name, default in _GENERATING.items():
            if getattr(self, name) not in (default, Placement.of("exact")):
                raise DesignError(
                    f"{name} must keep its default {default!r} in a design with a netlist of its own, but "
                    f"got {getattr(self, name)!r}; leave it out."
                )
        multiplier_circuit = as_multiplier(circuit, signed=self.signed is True)
        self._set(circuit=multiplier_circuit)
        if self.width is None and self.format is None:
            self._set(width=field_checks.circuit_widths(multiplier_circuit))
        if self.name is None and circuit.name != multiplier_circuit.name and field_checks.is_name(circuit.name):
            self._set(name=circuit.name)

    def _check_names(self) -> None:
        find_topology(self.topology)
        self._set(placement=Placement.of(self.placement))
        field_checks.check_choice("ports", self.ports, PORTS)
        field_checks.check_choice("half_adders", self.half_adders, ("cell", "exact"))
        field_checks.check_choice("rounding", self.rounding, arithmetic.ROUNDINGS)
        field_checks.check_choice("normalization", self.normalization, arithmetic.NORMALIZATIONS)

    def _complete(self) -> None:
        """Sets the fields that follow from the format."""
        fmt = self.float_format
        self._set(subnormals=self.subnormals or (fmt.subnormals if fmt else "flush"))
        field_checks.check_choice("subnormals", self.subnormals, arithmetic.SUBNORMALS)
        self._set(width=field_checks.operand_widths(self.width, fmt))

    def _check_sizes(self) -> None:
        if self.circuit is not None and self.width != (own := field_checks.circuit_widths(self.circuit)):
            raise DesignError(
                f"width must be that of the imported circuit, {own[0]} x {own[1]}, but got "
                f"{self.shape[0]} x {self.shape[1]}; leave width out, or choose a format with such a mantissa."
            )
        if self.tile is not None:
            field_checks.check_integer("tile", self.tile, 1, min(self.shape))
        field_checks.check_signed(self.signed, format_name=self.format, tile=self.tile)
        field_checks.check_integer("truncate_columns", self.truncate_columns, 0, sum(self.shape) - 1)
        if self.name is not None and not field_checks.is_name(self.name):
            raise DesignError(f"a design name must be 1 to 100 printable characters, but got {self.name!r}; rename it.")
        self.placement.check(self.shape, self.tile)

    def _check_architecture(self) -> None:
        """Completes the options, and refuses fields that the architecture has no use for."""
        architecture = find_topology(self.topology)
        what = f"topology {self.topology!r}"
        self._set(options=completed(architecture.options, self.options, self.shape, what))
        self._check_final_adder(architecture, what)
        if architecture.check is not None:
            architecture.check(self.shape, self.options)
        unused = {
            "placement": not architecture.uses_cells,
            "ports": not architecture.uses_cells,
            "half_adders": not architecture.uses_cells,
            "tile": not architecture.tileable,
            "truncate_columns": not architecture.truncatable,
        }
        for name, is_unused in unused.items():
            if is_unused and getattr(self, name) not in (_GENERATING[name], Placement.of("exact")):
                value = self.placement.describe() if name == "placement" else repr(getattr(self, name))
                raise DesignError(
                    f"{what} has no {_PURPOSES[name]}, so {name} must keep its default {_GENERATING[name]!r}, but got "
                    f"{value}; leave it out."
                )

    def _check_final_adder(self, architecture: Topology, what: str) -> None:
        if self.final_adder in FINAL_ADDERS:
            return
        if isinstance(self.final_adder, str) and self.final_adder.partition("(")[0] not in ADDERS:
            raise unknown_name("final_adder", self.final_adder, (*FINAL_ADDERS, *ADDERS))
        self._set(final_adder=str(chosen_adder(self.final_adder, sum(self.shape))))
        if not architecture.has_final_adder:
            raise DesignError(
                f"{what} has no final adder to replace, so final_adder must be 'exact' or 'cell', but got "
                f"{self.final_adder!r}; leave it out or choose a tree."
            )

    def _check_cells(self) -> None:
        by_name: dict[str, AdderCell] = {}
        for cell in self._cells():
            if by_name.setdefault(cell.name, cell) != cell:
                raise DesignError(
                    f"cells of one design must have distinct names, but two cells are named {cell.name!r}; rename one."
                )

    def _cells(self) -> Iterator[AdderCell]:
        """The adder cells that the design names, repetitions included."""
        if self.circuit is None:
            yield from self.placement.all_cells()
            return
        for instance in self.circuit.instances:
            if isinstance(instance.component, AdderCell):
                yield instance.component

    def _compressors(self) -> Iterator[Compressor]:
        """The compressors that the options name."""
        for value in self.options.values():
            if isinstance(value, CompressorColumns):
                yield from value.compressors()

    def __hash__(self) -> int:
        # Computed once, because every cache asks for it and a placement may hold thousands of cells. It must not travel
        # to other processes, where strings hash differently.
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
    def architecture(self) -> Topology:
        """The generator of the topology, with its properties."""
        return find_topology(self.topology)

    @property
    def has_final_adder(self) -> bool:
        """Whether the field `final_adder` chooses anything: rows that ripple end without one."""
        return self.architecture.has_final_adder

    @property
    def label(self) -> str:
        """The name, with the note on a named design: "heap (reconstructed)"; a short digest where there is no name."""
        if self.name is None:
            return self.digest[:10]
        note = NOTES.get(self.name)
        # A variant of a named design, made by `replace`, keeps the name but not the note.
        return f"{self.name} ({note})" if note and self == Design(**DEFINITIONS[self.name]) else self.name

    @property
    def imported(self) -> Netlist | None:
        """Another name of `circuit`."""
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
    def exact_by_construction(self) -> bool:
        """Whether every product of the mantissa circuit is proven to be x * y.

        A generated circuit is exact where all of its cells and its final adder are, no column is truncated and its
        topology says that this is enough. A circuit of one's own of at most 16 operand bits in all is tried with every
        pair of operands; larger ones are not known to be exact.
        """
        return _is_exact(self)

    @cached_property
    def digest(self) -> str:
        """Hex digest of the behaviour (truth tables, structure, float semantics; no names); stable across machines."""
        return _digest(self)

    @cached_property
    def cost_digest(self) -> str:
        """Hex digest of behaviour and cost data: cells that behave alike may cost differently.

        A library cell or gate counts by name, since it is characterised; others by the numbers that they give.
        """
        return digests.cost_digest(self.digest, self.netlist())

    def multiply(self, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> NDArray[np.float32]:
        """Bit-accurate float32 products of activations `x` and weights `w`, broadcast against each other.

        The float semantics are those of `circuits.floats.arithmetic`. `backend`: "compiled", "interpreted" (nothing is
        compiled for this design) or "reference"; "auto" compiles, except where that takes longer than the products. The
        products are the same. Raises DesignError for an integer design.
        """
        from circuits.engine import float_operations

        if self.float_format is None:
            raise DesignError("multiply needs a float format, but got format=None; use multiply_integers.")
        return float_operations.multiply(self, x, w, backend=backend)

    def multiply_integers(self, x: ArrayLike, y: ArrayLike, *, backend: str = "auto") -> NDArray[Any]:
        """Products of the mantissa circuit alone, on integers broadcast against each other: x drives the rows.

        Unsigned, 0 <= x < 2^w, 0 <= y < 2^v: uint64 up to 64 product bits, object integers beyond. Signed,
        -2^(w-1) <= x < 2^(w-1), likewise y: int64, or object. Raises DesignError on values out of range.
        `backend` as for `multiply`.
        """
        from circuits.engine import integer_operations

        return integer_operations.multiply(self.program(), x, y, signed=self.signed, backend=backend)

    def describe(self) -> dict[str, str]:
        """The exact definition as line name -> text, as commands print it above every number.

        Integer designs have no lines for rounding, normalization and subnormals.
        """
        w, v = self.shape
        cells = {cell.name: cell for cell in self._cells()}
        port_names = dict(zip("psc", self.architecture.port_names, strict=True))
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
            **({"options": str(self.options)} if self.options else {}),
            **self._float_rules(),
            "cells": "; ".join(f"{c.name} sum {c.sum} carry {c.carry}" for c in cells.values()) or "none",
        }
        if not self.architecture.uses_cells:
            for key in ("placement", "ports (A,B,Cin)", "half adders", "final adder"):
                described[key] = "none (gates and exact adders)"
        if self.circuit is not None:
            counts = ", ".join(f"{count} {name}" for name, count in self.circuit.count().items())
            described["topology"] = f"imported, {len(self.circuit.instances)} cells and gates"
            described["placement"] = counts or "wires only"
            for key in ("ports (A,B,Cin)", "half adders", "final adder", "tile", "truncated columns"):
                described[key] = "as imported"
        return described

    def _float_rules(self) -> dict[str, str]:
        """The lines about the arithmetic around the mantissa circuit; none without a float format."""
        if self.format is None:
            return {}
        names = ("rounding", "normalization", "subnormals")
        return {name: str(getattr(self, name)) for name in names}

    # TOML.

    def to_toml(self) -> str:
        """The design as TOML; cells that the library does not have are embedded, and so is a circuit of its own."""
        left_out = {"circuit"} if self.circuit is None else {"circuit", "width", *_GENERATING}
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in left_out}
        return design_toml.write_design(values, self.circuit, self._cells(), self._compressors())

    @classmethod
    def from_toml(cls, text: str, *, where: str = "the TOML text") -> Design:
        """The design that `to_toml` or a person wrote; DesignError names `where` and what to correct."""
        return cls._from_document(parse_toml(text, where), where)

    @classmethod
    def load(cls, path: str | Path, cells: Mapping[str, AdderCell] | None = None) -> Design:
        """The design in a TOML file; DesignError names the file and what to correct.

        `cells`: a user's own cells, which it may name like those that it embeds; the latter take precedence.
        """
        return cls._from_document(read_toml(path), str(path), cells)

    @classmethod
    def _from_document(
        cls, document: Mapping[str, Any], where: str, cells: Mapping[str, AdderCell] | None = None
    ) -> Design:
        known = {item.name for item in fields(cls)} - {"circuit"}  # which is the table [netlist]
        arguments = design_toml.read_design(document, where, known=known, cells=cells)
        with design_toml.errors_naming(where):
            return cls(**arguments)


# What is derived from a design, kept because it is asked for again and again.


@lru_cache(maxsize=32)
def _netlist(design: Design) -> Netlist:
    return netlist_template(design).fill(design.placement)


def netlist_template(design: Design) -> NetlistTemplate:
    """The template of the designs that agree with a generated one in everything but their cells.

    Where tiles need another product bit with inexact cells, only of those that are inexact too, or not either.
    """
    placement = design.placement
    # A sum of tiles can exceed w + v bits only where a tile overestimates: never with exact cells, except where
    # truncation makes a tile wrap around.
    inexact = not all(entry.is_exact for entry in placement.all_cells())
    architecture = design.architecture
    wraps = architecture.truncation_may_wrap and design.truncate_columns > 0
    exceeds = design.final_adder not in FINAL_ADDERS or (
        architecture.may_exceed is not None and architecture.may_exceed(design.options)
    )
    overflow = design.tile is not None and (inexact or wraps or exceeds)
    return _template(design.topology, design.shape, tuple(generator_policies(design).items()), overflow)


def generator_policies(design: Design) -> dict[str, Any]:
    """Arguments of `multiplier`: what decides, beside topology, widths and placement, what a generator draws."""
    return {name: getattr(design, name) for name in _POLICIES}


@lru_cache(maxsize=32)
def _template(
    topology: str, shape: tuple[int, int], policies: tuple[tuple[str, Any], ...], overflow_bit: bool
) -> NetlistTemplate:
    """Draws all designs that agree in these; `policies`: `generator_policies` as pairs."""
    arguments: Any = {**dict(policies), "overflow_bit": overflow_bit}
    return NetlistTemplate(lambda adder_at: multiplier(topology, shape, adder_at, **arguments), arguments["tile"])


@lru_cache(maxsize=32)
def _program(design: Design) -> Program:
    return lower(design.netlist())


@lru_cache(maxsize=256)
def _is_exact(design: Design) -> bool:
    if design.circuit is None:
        exact_cells = all(cell.is_exact for cell in design.placement.all_cells())
        exact_adder = design.final_adder in FINAL_ADDERS
        multiplies = design.architecture.multiplies_exactly
        return exact_cells and exact_adder and not design.truncate_columns and multiplies
    if sum(design.shape) > _TRIED_OPERAND_BITS:
        return False
    x, y = (np.arange(1 << width) - (design.signed << width - 1) for width in design.shape)
    return bool((design.multiply_integers(x[:, None], y) == x[:, None] * y).all())


@lru_cache(maxsize=1024)
def _digest(design: Design) -> str:
    return digests.behaviour_digest(
        design.netlist(),
        signed=design.signed,
        float_format=design.float_format,
        rounding=design.rounding,
        normalization=design.normalization,
        subnormals=str(design.subnormals),
    )
