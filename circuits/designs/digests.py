"""What identifies a design: digests of its behaviour and of its cost.

Stores, caches and result files are keyed by these digests, so they must be equal on all machines and in all versions.
They are taken from the circuit, not from the fields that generated it: two designs whose fields differ only where they
do not matter (the final adder of rows that ripple, cells at positions without an adder) have the same digests.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.floats.arithmetic import FloatFormat
from circuits.netlists.gates import GATES
from circuits.netlists.netlist import Component, Netlist
from circuits.netlists.netlist_arrays import arrays_of


def behaviour_digest(
    netlist: Netlist,
    *,
    signed: bool,
    float_format: FloatFormat | None,
    rounding: str,
    normalization: str,
    subnormals: str,
) -> str:
    """SHA-256, in hex, of the structure and truth tables of `netlist` and of the arithmetic around it; no names.

    An integer multiplier (`float_format` None) has no float rules, so they do not enter its digest.
    """
    semantics: tuple[object, ...] = ("signed",) if signed else ()
    if float_format is not None:
        shape = (float_format.exponent_bits, float_format.fraction_bits, float_format.infinity)
        semantics = (*shape, rounding, normalization, subnormals)
    return _sha256(f"design 1 {semantics} {netlist.digest()}")


def cost_digest(behaviour: str, netlist: Netlist) -> str:
    """SHA-256, in hex, of a behaviour digest and the cost data of every component of `netlist`.

    Cells that behave alike may cost differently. A library cell or gate enters by its name, since it is characterised;
    any other by its transistors and whatever delay, energy and area the user gave.
    """
    arrays = arrays_of(netlist)
    data = [_cost_data(component) for component in arrays.components]
    return _sha256(f"cost 2 {behaviour}", b"".join([data[kind] for kind in arrays.kinds.tolist()]))


@lru_cache(maxsize=4096)
def _cost_data(component: Component) -> bytes:
    library = CELLS if isinstance(component, AdderCell) else GATES
    if library.get(component.name) == component:
        return repr(component.name).encode()
    measured: tuple[float | None, ...] = ()
    if isinstance(component, AdderCell):
        measured = (component.delay_ps, component.energy_fj, component.area_um2)
    return repr((component.transistors, *measured)).encode()


def _sha256(text: str, data: bytes = b"") -> str:
    return hashlib.sha256(text.encode() + data).hexdigest()
