"""Which language a file is written in, told by its text: what is read here, and what is often given by mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass

VERILOG, BLIF = "Verilog", "BLIF"
_LOOKED_AT = 65_536
"""Characters of a file that tell its language."""


@dataclass(frozen=True)
class _Foreign:
    """A language that is not read, what its files show after their comments, and what to give instead."""

    name: str
    sign: re.Pattern[str]
    advice: str


_C_TYPE = r"(?:(?:static|extern|inline|const|unsigned|signed)\s+)*(?:u?int(?:8|16|32|64)?(?:_t)?|long|short|char|bool)"
_CONVERT = 'convert it (yosys-abc -c "read FILE; write_blif FILE.blif")'
_FOREIGN = (
    _Foreign("a compressed file", re.compile(r"\A(?:\x1f\ufffd|PK\x03\x04|BZh|\ufffd7zXZ)"), "unpack it first"),
    _Foreign("a binary file", re.compile(r"\x00"), "give the Verilog or BLIF text"),
    _Foreign("EDIF", re.compile(r"\A\(\s*edif\b", re.IGNORECASE), "write Verilog or BLIF with the tool that made it"),
    _Foreign(
        "VHDL",
        re.compile(
            r"(?im)^[ \t]*(?:entity\s+\w+\s+is\b|architecture\s+\w+\s+of\b|library\s+\w+\s*;|package\s+\w+\s+is\b)"
        ),
        "translate it (ghdl --synth --out=verilog, say)",
    ),
    _Foreign(
        "SystemC",
        re.compile(r"\bSC_(?:MODULE|CTOR|METHOD)\s*\(|#include\s*[<\"]systemc"),
        "give the synthesised Verilog",
    ),
    _Foreign(
        "C",
        re.compile(
            r"(?m)^[ \t]*#\s*(?:include|define|pragma|ifn?def)\b|"
            rf"^[ \t]*{_C_TYPE}\s+\**\w+\s*\([^;{{)]{{0,500}}\)\s*\{{"
        ),
        "give the circuit's .v file, which EvoApproxLib and ArithsGen have beside it",
    ),
    _Foreign(
        "Liberty",
        re.compile(r"\Alibrary\s*\(\s*[\"\w.-]+\s*\)\s*\{"),
        "give the library's Verilog models (.v) instead",
    ),
    _Foreign("AIGER", re.compile(r"\Aa[ai]g(?: \d+){5}"), _CONVERT),
    _Foreign(
        "the bench format",
        re.compile(r"(?im)\A\s*(?:INPUT|OUTPUT)\s*\([^)]*\)[ \t\r]*$"),
        _CONVERT,
    ),
    _Foreign(
        "SPICE",
        re.compile(r"(?im)^[ \t]*\.subckt\s+\S+(?:\s+[^\s=]+)+[ \t\r]*$"),
        "give a Verilog or BLIF netlist of its gates",
    ),
    _Foreign("JSON", re.compile(r"\A\{\s*\""), "write Verilog instead (yosys: write_verilog)"),
    _Foreign(
        "TOML", re.compile(r"(?m)^[ \t]*\[(?:design|netlist|cells\.[^\]]+)\][ \t\r]*$"), "a design needs no import"
    ),
    _Foreign(
        "Python", re.compile(r"(?m)^(?:from\s+[\w.]+\s+import\s|import\s+\w+\s*$|def\s+\w+\()"), "give the Verilog file"
    ),
)


def language_of(text: str) -> str:
    """VERILOG, BLIF, or the name of another language; VERILOG where nothing tells, so that its reader says why not."""
    found = _recognise(text)
    return found if isinstance(found, str) else found.name


def advice_for(text: str) -> str | None:
    """What to give instead of a text in a language that is not read; None for Verilog and BLIF."""
    found = _recognise(text)
    return None if isinstance(found, str) else found.advice


def _recognise(text: str) -> str | _Foreign:
    head = text[:_LOOKED_AT]
    if re.search(r"(?m)^[ \t]*\.(?:inputs|outputs|names)\b|^[ \t]*\.model[ \t]+\S+[ \t\r]*$", head):
        return BLIF
    code = re.sub(r"/\*.*?(?:\*/|\Z)|//[^\n]*|^[ \t]*--[^\n]*", " ", head, flags=re.DOTALL | re.MULTILINE)
    code = code.lstrip("\ufeff \t\r\n")
    # A module header is Verilog whatever else there is; C and the others have none.
    if re.search(r"(?m)^[ \t]*(?:macro)?module\s+[\\\w]", code):
        return VERILOG
    for language in _FOREIGN:
        if language.sign.search(code):
            return language
    return VERILOG
