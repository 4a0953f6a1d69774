"""Cells of known libraries by name, as Verilog modules with the pins that each library gives them.

- OSU FreePDK45 (AND2X1, FAX1), as EvoApproxLib's files use it, their mangled names included
- Nangate45 (NAND2_X1, AOI21_X1, FA_X1, LOGIC0_X1)
- SkyWater sky130 (sky130_fd_sc_hd__nand2_1, ..._a21oi_2)
- yosys: gates ($_AND_, $_AOI3_), operators ($add, $mux, with their parameters) and $lut
- lookup tables of FPGAs (LUT1 ... LUT6 with INIT, SB_LUT4 with LUT_INIT)

A cell of at most three inputs becomes one gate or cell like any such module, a larger one the gates of its function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from circuits.hdl.cell_gates import STANDARD_CELLS
from circuits.hdl.verilog.syntax.lexer import tokens
from circuits.hdl.verilog.syntax.raw_modules import split_modules
from circuits.hdl.verilog.syntax.tree import Module

_WHERE = "the cell library"
_OSU = re.compile(r"(?P<base>[A-Z]+[0-9]{0,2})X[0-9]{1,2}")
_NANGATE = re.compile(r"(?P<base>[A-Z]+[0-9]{0,3})_X[0-9]{1,2}")
_SKY130 = re.compile(r"sky130_(?:fd|ef|osu)_sc_[a-z0-9]+__(?P<base>[a-z0-9]+?)(?:_(?:[0-9]{1,2}|m|lp[0-9]?|lp))?")
_SKY130_COMPLEX = re.compile(r"(?P<outer>[ao])(?P<digits>[1-4]{2,5})(?P<bar>b)?(?P<inner>[ao])(?P<inverted>i)?")
_REGISTER = re.compile(
    r"(?i)\$_?(?:s?dffe?|aldffe?|dffsr?e?|dlatch|sr|ff|adff|sdff|adffe|sdffe|sdffce|dffsre|dlatchsr).*|\$mem.*|"
    r"(?:s?dff|sdfh?|dl[hl]|dlatch|latch|fd[rsecp][ecp]?|sb_dff|clkgate|tlat)[a-z0-9_]*|"
    r"sky130_\w+__(?:s?e?df|dl[xrc]|sdl|s?edf)\w*"
)
_SUPPLY = re.compile(r"(?i)VPWR|VGND|VPB|VNB|VDD\w*|VSS\w*|VCC\w*|GND\w*|VPP|VBB")


def library_cell(name: str) -> Module | None:
    """The module of a known library's cell, or None."""
    text = _cell_text(name)
    return None if text is None else _parse(text)


def library_names() -> Iterable[str]:
    """Some names of known cells, for the advice at an unknown one."""
    return (f"{name}X1" for name in _osu_cells())


def is_register(name: str) -> bool:
    """Whether the name is that of a flip-flop, latch or memory of a known library."""
    return _REGISTER.fullmatch(name) is not None


def supply_pin(name: str) -> bool:
    """Whether a pin of this name carries supply voltage."""
    return _SUPPLY.fullmatch(name) is not None


@cache
def _parse(text: str) -> Module:
    (module,) = split_modules(tokens(text, _WHERE, {}), _WHERE)
    return module.parse()


def _cell_text(name: str) -> str | None:
    """A cell's Verilog, its name escaped."""
    for find in (_osu, _nangate, _sky130, _yosys, _lookup_table):
        text = find(name)
        if text is not None:
            return text
    return None


def _module(name: str, inputs: Sequence[str], outputs: dict[str, str], *, outputs_first: bool = False) -> str:
    """A module of one-bit ports; `outputs`: pin -> expression."""
    ports = [f"input {pin}" for pin in inputs]
    results = [f"output {pin}" for pin in outputs]
    header = ", ".join([*results, *ports] if outputs_first else [*ports, *results])
    assigns = " ".join(f"assign {pin} = {value};" for pin, value in outputs.items())
    return f"module \\{name} ({header}); {assigns} endmodule"


def _and(pins: Iterable[str]) -> str:
    return " & ".join(pins)


def _or(pins: Iterable[str]) -> str:
    return " | ".join(pins)


def _numbered(letter: str, count: int) -> list[str]:
    """A1, A2, ...; a group of one is plain A."""
    return [letter] if count == 1 else [f"{letter}{k}" for k in range(1, count + 1)]


# OSU FreePDK45. MUX2X1 is missing on purpose: the OSU cell inverts and EvoApproxLib's does not, so a file has to
# define it.


@cache
def _osu_cells() -> dict[str, str]:
    texts = re.findall(r"module (\w+)(.*?endmodule)", STANDARD_CELLS, re.DOTALL)
    return dict(texts)


def _osu(name: str) -> str | None:
    """AND2X1, PDKGENAND2X1, and EvoApprox8b's mangled PDKGEPDKGENNAND2X1 and XPDKGEPDKGENNOR2X1."""
    match = _OSU.fullmatch(re.sub("PDKGEPDKGENN|PDKGEN", "", name))
    text = _osu_cells().get(match["base"]) if match else None
    return None if text is None or match is None else f"module {match['base']}{text}"


# Nangate45: pins A1, A2, ... (A, B1, B2 in groups), output ZN; Z where nothing is inverted.

_NANGATE_CELLS = {
    "INV": (["A"], {"ZN": "~A"}),
    "BUF": (["A"], {"Z": "A"}),
    "CLKBUF": (["A"], {"Z": "A"}),
    "XOR2": (["A", "B"], {"Z": "A ^ B"}),
    "XNOR2": (["A", "B"], {"ZN": "~(A ^ B)"}),
    "MUX2": (["A", "B", "S"], {"Z": "S ? B : A"}),
    "HA": (["A", "B"], {"CO": "A & B", "S": "A ^ B"}),
    "FA": (["A", "B", "CI"], {"CO": "(A & B) | (CI & (A | B))", "S": "A ^ B ^ CI"}),
    "LOGIC0": ([], {"Z": "1'b0"}),
    "LOGIC1": ([], {"Z": "1'b1"}),
}


def _nangate(name: str) -> str | None:
    match = _NANGATE.fullmatch(name)
    if match is None:
        return None
    base = match["base"]
    if base in _NANGATE_CELLS:
        inputs, outputs = _NANGATE_CELLS[base]
        return _module(name, inputs, outputs)
    simple = re.fullmatch(r"(N?)(AND|OR)([2-4])", base)
    if simple:
        pins = _numbered("A", int(simple[3]))
        value = (_and if simple[2] == "AND" else _or)(pins)
        return _module(name, pins, {"ZN": f"~({value})" if simple[1] else value})
    group = re.fullmatch(r"(AOI|OAI)([1-4]{2,3})", base)
    if group:
        return _grouped(name, [int(digit) for digit in group[2]], group[1] == "AOI")
    return None


def _grouped(name: str, counts: list[int], and_first: bool) -> str:
    """AOI21 is ~(A | B1 & B2), OAI221 ~(A & (B1 | B2) & (C1 | C2)): Nangate names the groups from the smallest on."""
    inside, outside = (_and, _or) if and_first else (_or, _and)
    groups = [_numbered(letter, count) for letter, count in zip("ABC", sorted(counts), strict=False)]
    value = outside(f"({inside(pins)})" for pins in groups)
    return _module(name, [pin for pins in groups for pin in pins], {"ZN": f"~({value})"})


# sky130: pins A, B, C, D; an inverted input ends in _N; output X, Y where inverted.

_SKY130_CELLS = {
    "inv": (["A"], {"Y": "~A"}),
    "clkinv": (["A"], {"Y": "~A"}),
    "clkinvlp": (["A"], {"Y": "~A"}),
    "buf": (["A"], {"X": "A"}),
    "clkbuf": (["A"], {"X": "A"}),
    "bufbuf": (["A"], {"X": "A"}),
    "bufinv": (["A"], {"Y": "~A"}),
    "xor2": (["A", "B"], {"X": "A ^ B"}),
    "xnor2": (["A", "B"], {"Y": "~(A ^ B)"}),
    "xor3": (["A", "B", "C"], {"X": "A ^ B ^ C"}),
    "xnor3": (["A", "B", "C"], {"X": "~(A ^ B ^ C)"}),
    "maj3": (["A", "B", "C"], {"X": "(A & B) | (C & (A | B))"}),
    "mux2": (["A0", "A1", "S"], {"X": "S ? A1 : A0"}),
    "mux2i": (["A0", "A1", "S"], {"Y": "~(S ? A1 : A0)"}),
    "mux4": (["A0", "A1", "A2", "A3", "S0", "S1"], {"X": "S1 ? (S0 ? A3 : A2) : (S0 ? A1 : A0)"}),
    "ha": (["A", "B"], {"COUT": "A & B", "SUM": "A ^ B"}),
    "fa": (["A", "B", "CIN"], {"COUT": "(A & B) | (CIN & (A | B))", "SUM": "A ^ B ^ CIN"}),
    "fah": (["A", "B", "CI"], {"COUT": "(A & B) | (CI & (A | B))", "SUM": "A ^ B ^ CI"}),
    "fahcin": (["A", "B", "CIN"], {"COUT": "(A & B) | (~CIN & (A | B))", "SUM": "A ^ B ^ ~CIN"}),
    "fahcon": (["A", "B", "CI"], {"COUT_N": "~((A & B) | (CI & (A | B)))", "SUM": "A ^ B ^ CI"}),
    "conb": ([], {"HI": "1'b1", "LO": "1'b0"}),
    "a2bb2o": (["A1_N", "A2_N", "B1", "B2"], {"X": "(~A1_N & ~A2_N) | (B1 & B2)"}),
    "a2bb2oi": (["A1_N", "A2_N", "B1", "B2"], {"Y": "~((~A1_N & ~A2_N) | (B1 & B2))"}),
    "o2bb2a": (["A1_N", "A2_N", "B1", "B2"], {"X": "(~A1_N | ~A2_N) & (B1 | B2)"}),
    "o2bb2ai": (["A1_N", "A2_N", "B1", "B2"], {"Y": "~((~A1_N | ~A2_N) & (B1 | B2))"}),
}


def _sky130(name: str) -> str | None:
    match = _SKY130.fullmatch(name)
    if match is None:
        return None
    base = match["base"]
    if base in _SKY130_CELLS:
        inputs, outputs = _SKY130_CELLS[base]
        return _module(name, inputs, outputs, outputs_first=True)
    simple = re.fullmatch(r"(n?)(and|or)([2-4])(b{0,2})", base)
    if simple:
        return _sky130_simple(name, simple[1], simple[2], int(simple[3]), len(simple[4]))
    return _sky130_complex(name, base)


def _sky130_simple(name: str, inverted: str, kind: str, count: int, bars: int) -> str:
    """and2b inverts its first inputs; or2b, nor2b and their like the last ones."""
    pins = list("ABCD"[:count])
    for k in range(bars):
        position = k if kind == "and" else count - 1 - k
        pins[position] += "_N"
    terms = [f"~{pin}" if pin.endswith("_N") else pin for pin in pins]
    value = (_and if kind == "and" else _or)(terms)
    outputs = {"Y": f"~({value})"} if inverted else {"X": value}
    return _module(name, pins, outputs, outputs_first=True)


def _sky130_complex(name: str, base: str) -> str | None:
    """a21oi: ~((A1 & A2) | B1); o311a: (A1 | A2 | A3) & B1 & C1; a21bo reads B1_N inverted."""
    match = _SKY130_COMPLEX.fullmatch(base)
    if match is None or match["outer"] == match["inner"]:
        return None
    inside, outside = (_and, _or) if match["outer"] == "a" else (_or, _and)
    groups = [
        [f"{letter}{k}" for k in range(1, int(n) + 1)] for letter, n in zip("ABCDE", match["digits"], strict=False)
    ]
    if match["bar"]:
        groups[-1][-1] += "_N"
    terms = [inside(f"~{pin}" if pin.endswith("_N") else pin for pin in pins) for pins in groups]
    value = outside(f"({term})" for term in terms)
    outputs = {"Y": f"~({value})"} if match["inverted"] else {"X": value}
    return _module(name, [pin for pins in groups for pin in pins], outputs, outputs_first=True)


# yosys.

_YOSYS_GATES = {
    "BUF": ("A", "A"),
    "NOT": ("A", "~A"),
    "AND": ("AB", "A & B"),
    "NAND": ("AB", "~(A & B)"),
    "OR": ("AB", "A | B"),
    "NOR": ("AB", "~(A | B)"),
    "XOR": ("AB", "A ^ B"),
    "XNOR": ("AB", "~(A ^ B)"),
    "ANDNOT": ("AB", "A & ~B"),
    "ORNOT": ("AB", "A | ~B"),
    "MUX": ("ABS", "S ? B : A"),
    "NMUX": ("ABS", "~(S ? B : A)"),
    "AOI3": ("ABC", "~((A & B) | C)"),
    "OAI3": ("ABC", "~((A | B) & C)"),
    "AOI4": ("ABCD", "~((A & B) | (C & D))"),
    "OAI4": ("ABCD", "~((A | B) & (C | D))"),
    "MUX4": ("ABCDST", "T ? (S ? D : C) : (S ? B : A)"),
    "MUX8": ("ABCDEFGHSTU", "U ? (T ? (S ? H : G) : (S ? F : E)) : (T ? (S ? D : C) : (S ? B : A))"),
}
_YOSYS_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "and": "&",
    "or": "|",
    "xor": "^",
    "xnor": "~^",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
    "eqx": "===",
    "nex": "!==",
    "logic_and": "&&",
    "logic_or": "||",
}
_YOSYS_SHIFTS = {"shl": "<<", "shr": ">>", "sshl": "<<<", "sshr": ">>>"}
_YOSYS_UNARY = {
    "not": "~",
    "pos": "+",
    "neg": "-",
    "logic_not": "!",
    "reduce_and": "&",
    "reduce_or": "|",
    "reduce_xor": "^",
    "reduce_xnor": "~^",
    "reduce_bool": "|",
}
_YOSYS_HEADER = """module \\{name} #(parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1)
  (input [A_WIDTH-1:0] A,{b} output [Y_WIDTH-1:0] Y);
  generate if ({condition}) assign Y = {signed}; else assign Y = {unsigned}; endgenerate endmodule"""


def _yosys(name: str) -> str | None:
    gate = re.fullmatch(r"\$_([A-Z]+[0-9]?)_", name)
    if gate:
        if gate[1] not in _YOSYS_GATES:
            return None
        pins, value = _YOSYS_GATES[gate[1]]
        return _module(name, list(pins), {"Y": value})
    operator = name[1:] if name.startswith("$") else ""
    if operator in ("mux", "_mux_"):
        return (
            f"module \\{name} #(parameter WIDTH = 1) (input [WIDTH-1:0] A, B, input S, output [WIDTH-1:0] Y); "
            "assign Y = S ? B : A; endmodule"
        )
    if operator == "lut":
        return (
            f"module \\{name} #(parameter WIDTH = 1, parameter [(1<<WIDTH)-1:0] LUT = 0) "
            "(input [WIDTH-1:0] A, output Y); assign Y = LUT[A]; endmodule"
        )
    if operator in _YOSYS_UNARY:
        symbol = _YOSYS_UNARY[operator]
        return _yosys_operator(name, "A_SIGNED", f"{symbol}$signed(A)", f"{symbol}A", binary=False)
    if operator in _YOSYS_SHIFTS:
        symbol = _YOSYS_SHIFTS[operator]
        return _yosys_operator(name, "A_SIGNED", f"$signed(A) {symbol} B", f"A {symbol} B")
    if operator in _YOSYS_BINARY:
        symbol = _YOSYS_BINARY[operator]
        return _yosys_operator(name, "A_SIGNED && B_SIGNED", f"$signed(A) {symbol} $signed(B)", f"A {symbol} B")
    return None


def _yosys_operator(name: str, condition: str, signed: str, unsigned: str, *, binary: bool = True) -> str:
    b = " input [B_WIDTH-1:0] B," if binary else ""
    return _YOSYS_HEADER.format(name=name, b=b, condition=condition, signed=signed, unsigned=unsigned)


# Lookup tables of FPGAs.


def _lookup_table(name: str) -> str | None:
    match = re.fullmatch(r"(?:LUT([1-6])|SB_LUT(4))", name)
    if match is None:
        return None
    count = int(match[1] or match[2])
    parameter, output = ("INIT", "O") if match[1] else ("LUT_INIT", "O")
    pins = [f"I{k}" for k in range(count)]
    return (
        f"module {name} #(parameter [{(1 << count) - 1}:0] {parameter} = 0) (output {output}, "
        f"{', '.join(f'input {pin}' for pin in pins)}); assign {output} = "
        f"{parameter}[{{{', '.join(reversed(pins))}}}]; endmodule"
    )
