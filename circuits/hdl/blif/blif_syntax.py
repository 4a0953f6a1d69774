"""BLIF read into models: tables, calls of other models, ports; every statement that is not read is refused by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from circuits.errors import DesignError, unknown_name

_COMMENT = re.compile(r"(?:^|(?<=\s))#")  # names of yosys may hold the sign
MAXIMUM_BYTES = 8 * 1024 * 1024
"""Longest BLIF text read, in characters."""
_COPIES = (".conn", ".short", ".barbuf")
_REGISTERS = (".latch", ".mlatch", ".start_kiss")
_SKIPPED = frozenset(
    """
    .area .attr .blackbox .clock_event .cname .cycle .default_input_arrival .default_input_drive
    .default_input_required .default_max_input_load .default_output_load .default_output_required .delay .input_arrival
    .input_drive .input_required .max_input_load .no_merge .output_load .output_required .param .wire .wire_load_slope
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Table:
    """`.names`: `cover` of `output`, inverted where its rows are the off-set."""

    inputs: tuple[str, ...]
    output: str
    line: int
    cover: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Call:
    """`.subckt` or `.gate`: another model or a cell, each of its pins joined to a net."""

    model: str
    pins: dict[str, str]
    line: int


@dataclass
class Model:
    """`.model`: its ports, and its tables and calls in the order of the text."""

    name: str
    where: str
    line: int
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    items: list[Table | Call] = field(default_factory=list)


def failure(where: str, line: int, message: str) -> DesignError:
    """The error that names file and line."""
    return DesignError(f"{where} line {line}: {message}.")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, words) of each logical line: comments removed, continuations joined."""
    words: list[str] = []
    first = None
    for number, line in enumerate(text.splitlines(), 1):
        code = _COMMENT.split(line, maxsplit=1)[0] if "#" in line else line
        code = code.rstrip()
        if code.endswith("\\"):
            words += code[:-1].split()
            first = first or number
        elif words:
            yield first or number, words + code.split()
            words, first = [], None
        elif code:
            yield number, code.split()
    if words:
        yield first or 1, words


def parse_models(text: str, where: str) -> list[Model]:
    """The models of a BLIF text in order; `where` names it in errors. Raises DesignError with the line."""
    if len(text) > MAXIMUM_BYTES:
        raise DesignError(f"{where} must have at most {MAXIMUM_BYTES} characters, but has {len(text)}; split it.")
    models: list[Model] = []
    model: Model | None = None
    skipping = False  # a network of don't-cares, which follows .exdc
    for line, words in _lines(text):
        keyword = words[0]
        if keyword == ".model":
            if len(words) != 2:
                raise failure(where, line, f"a model must have a name, but got {' '.join(words)!r}; correct it")
            model = Model(words[1], where, line)
            models.append(model)
            skipping = False
        elif keyword == ".end":
            model, skipping = None, False
        elif keyword == ".exdc":
            skipping = True
        elif not skipping:
            if model is None:
                model = Model("top", where, line)  # the standard lets a file begin without .model
                models.append(model)
            _statement(model, line, words)
    return models


def _statement(model: Model, line: int, words: list[str]) -> None:
    keyword, rest = words[0], words[1:]
    if not keyword.startswith("."):
        _row(model, line, words)
    elif keyword in (".inputs", ".input", ".clock"):
        model.inputs += rest
    elif keyword in (".outputs", ".output"):
        model.outputs += rest
    elif keyword == ".names":
        if not rest:
            raise failure(model.where, line, "a table must name its output, but '.names' stands alone; complete it")
        model.items.append(Table(tuple(rest[:-1]), rest[-1], line))
    elif keyword in _COPIES:
        if len(rest) != 2:
            raise failure(model.where, line, f"{keyword} must join two nets, but got {' '.join(words)!r}; correct it")
        model.items.append(Table((rest[0],), rest[1], line, ["1"], {"1"}))
    elif keyword in (".subckt", ".gate"):
        model.items.append(_call(model, line, words))
    elif keyword in _REGISTERS:
        net = rest[1] if len(rest) > 1 else keyword
        raise failure(
            model.where,
            line,
            f"a multiplier must be combinational, but {keyword} makes {net!r} a register; import the circuit between "
            "the registers",
        )
    elif keyword == ".search":
        raise failure(
            model.where, line, f"'.search {' '.join(rest)}' is not followed; give that file on the command line too"
        )
    elif keyword not in _SKIPPED:
        known = [".model", ".inputs", ".outputs", ".names", ".subckt", ".gate", ".end", *_COPIES]
        raise failure(model.where, line, str(unknown_name("BLIF keyword", keyword, known)).removesuffix("."))


def _row(model: Model, line: int, words: list[str]) -> None:
    table = model.items[-1] if model.items else None
    if not isinstance(table, Table):
        raise failure(
            model.where, line, f"BLIF must hold statements and rows of .names, but got {words[0]!r}; check the file"
        )
    cube = words[0] if len(words) == 2 else ""
    value = words[-1]
    correct = len(words) <= 2 and len(cube) == len(table.inputs) and not cube.strip("01-") and value in ("0", "1")
    if not correct or (table.values and value not in table.values):
        raise failure(
            model.where,
            line,
            f"a row of {table.output!r} must be {len(table.inputs)} of 0, 1 and -, then one value for all rows, but "
            f"got {' '.join(words)!r}; correct it",
        )
    table.cover.append(cube)
    table.values.add(value)


def _call(model: Model, line: int, words: list[str]) -> Call:
    pins = {}
    for pin in words[2:]:
        # Names may hold "=" themselves, but that of a port seldom does.
        port, equals, net = pin.partition("=")
        if not (port and equals and net) or port in pins:
            raise failure(
                model.where, line, f"each pin of {words[1]!r} must be PORT=NET, once, but got {pin!r}; correct it"
            )
        pins[port] = net
    if len(words) < 3:
        raise failure(model.where, line, f"{words[0]} must name a model and its pins, but has none; complete it")
    return Call(words[1], pins, line)
