"""A circuit out of a user's files, whatever language that is read here they are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from circuits.errors import DesignError
from circuits.hdl.blif_in import read_blif
from circuits.hdl.languages import BLIF, VERILOG, advice_for, language_of
from circuits.hdl.verilog import read_verilog
from circuits.netlists.netlist import Netlist

MAXIMUM_BYTES = 16 * 1024 * 1024
"""Longest file that is read; each language's reader has its own bound within it."""


@dataclass(frozen=True)
class Circuit:
    """`netlist`: the flat circuit, `signed` as declared. `notes`: what was ignored or assumed, a line each."""

    netlist: Netlist
    language: str
    notes: tuple[str, ...]


def read_circuit(sources: Sequence[tuple[str, str]], *, top: str | None = None) -> Circuit:
    """The circuit in `sources`, (file name, text) each: Verilog or BLIF, told by the text, of one language all.

    `top`: the module or model, by default the one that no other uses. DesignError names the file: a language that is
    not read here, several languages, or what `read_verilog` and `read_blif` refuse.
    """
    languages = [known_language(where, text) for where, text in sources]
    for (where, _), language in zip(sources, languages, strict=True):
        if language != languages[0]:
            raise DesignError(
                f"all files must be in one language, but {sources[0][0]} is {languages[0]} and {where} is {language}; "
                "import them one by one."
            )
    if languages[0] == BLIF:
        netlist, notes = read_blif(sources, top=top)
    else:
        verilog = read_verilog(sources, top=top)
        netlist, notes = verilog.netlist, verilog.notes
    netlist, notes = _without_unread_inputs(netlist, notes)
    return Circuit(netlist, languages[0], notes)


def known_language(where: str, text: str) -> str:
    """VERILOG or BLIF; DesignError names any other language that the text is written in."""
    language = language_of(text)
    if language not in (VERILOG, BLIF):
        raise DesignError(f"{where} must be Verilog or BLIF, but is {language}; {advice_for(text)}.")
    return language


def _without_unread_inputs(netlist: Netlist, notes: tuple[str, ...]) -> tuple[Netlist, tuple[str, ...]]:
    """Without clocks, supplies and the like: one-bit inputs beside two operands that nothing reads."""
    read = {net for instance in netlist.instances for net in instance.inputs} | set(netlist.output_nets)
    unread = [name for name, bus in netlist.inputs.items() if len(bus) == 1 and bus[0] not in read]
    if len(netlist.inputs) <= 2 or not unread:
        return netlist, notes
    inputs = {name: bus for name, bus in netlist.inputs.items() if name not in unread}
    word = "input" if len(unread) == 1 else "inputs"
    ignored = f"{word} {', '.join(unread)} ignored: nothing reads {'it' if len(unread) == 1 else 'them'}"
    return replace(netlist, inputs=MappingProxyType(inputs)), (*notes, ignored)
