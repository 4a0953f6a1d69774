"""Transistor-level netlists of the library's cells and gates: static CMOS, a list of complex-gate stages each.

A stage is a pull-down and a pull-up network of series (`All`) and parallel (`Any`) transistors; the pull-up network is
the dual of the pull-down one unless given. Every transistor is as wide as the unit inverter's (FACTS 5: 180 nm NMOS,
270 nm PMOS, L 50 nm) times the number of transistors in its longest series path, so that all stages drive alike.

The mirror adder is the 24-transistor one with two output inverters (28). AMA1 to AMA4 are what remains of it when
transistors are removed as Gupta et al. describe; the schematics are reconstructed from that text, and their counts are
the commonly cited ones, output inverters included:

- AMA1, 20: carry stage 7 (down B + AC, up B'A' + B'C'), sum stage 9 (down C K + ABC with K = carry', up
  C' + K'(A' + B')), two inverters.
- AMA2, 14: the exact carry stage 10, carry = its inverse 2, sum = the inverse of carry 2.
- AMA3, 11: the carry stage of AMA1 7 and the two inverters of AMA2.
- AMA4, 15: K = A' 2, the sum stage of AMA1 9, two inverters.
- AMA5, 8: two buffers.

Other cells are published as pass-transistor circuits (AXA, InXA: 6 to 8 transistors, without restored levels) or as
equations only: they are built here as complex gates from their truth tables, so that their counts are larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from circuits.cells.adder_cells import CELLS, AdderCell
from circuits.netlists.gates import EXTRA_GATES, GATES
from circuits.netlists.netlist import Component
from circuits.netlists.truth_table import CONSTANTS, INPUTS, TRUE

UNIT_N, UNIT_P, LENGTH = 180, 270, 50
"""Widths of the unit inverter and the channel length, nm (FACTS 5)."""
COLUMN_AREA = 0.19 * 1.4
"""um^2 of one column in a row of standard cells: poly pitch 0.19 um times row height 1.4 um. All areas of the reference
library (FACTS 5) are multiples of it."""
FINGER_N, FINGER_P = 415, 630
"""Widest finger that a column holds, nm: the transistors of that library's unit inverter (FACTS 5)."""


@dataclass(frozen=True)
class All:
    """Networks in series: conducts when all of `parts` do."""

    parts: tuple[Network, ...]


@dataclass(frozen=True)
class Any:
    """Networks in parallel: conducts when any of `parts` does."""

    parts: tuple[Network, ...]


Network = str | All | Any
"""A transistor, named by the net at its gate, or a combination."""


@dataclass(frozen=True)
class Stage:
    """A complex gate: `output` is pulled down where `down` conducts, up where `up` does (PMOS conduct on 0)."""

    output: str
    down: Network
    up: Network

    @property
    def transistors(self) -> int:
        """Number of transistors."""
        return sum(1 for network in (self.down, self.up) for _ in devices(network))


@dataclass(frozen=True)
class Schematic:
    """A cell at transistor level: `inputs` and `outputs` are port names; `constants`: (output, value) tied to a
    rail."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stages: tuple[Stage, ...]
    constants: tuple[tuple[str, int], ...] = ()

    @property
    def transistors(self) -> int:
        """Number of transistors."""
        return sum(stage.transistors for stage in self.stages)

    @property
    def area(self) -> float:
        """um^2 in a row of standard cells: a column for every NMOS/PMOS pair of fingers of a stage, and one at the end.

            columns = 1 + sum over stages of max(NMOS fingers, PMOS fingers),  fingers = ceil(width / widest finger)
            area    = columns x COLUMN_AREA

        It gives the reference library's areas of INV, BUF, NAND2, AND2 and XOR2 (FACTS 5) exactly.
        """
        columns = 0
        for stage in self.stages:
            n = sum(math.ceil(width * UNIT_N / FINGER_N) for _, width in devices(stage.down))
            p = sum(math.ceil(width * UNIT_P / FINGER_P) for _, width in devices(stage.up))
            columns += max(n, p)
        return COLUMN_AREA * (columns + 1) if columns else 0.0

    def subcircuit(self) -> str:
        """SPICE text: .subckt NAME inputs outputs vdd vss."""
        lines = [f".subckt {self.name} {' '.join((*self.inputs, *self.outputs))} vdd vss"]
        count = 0
        for stage in self.stages:
            for kind, rail, network, unit in (
                ("nmos_vtg", "vss", stage.down, UNIT_N),
                ("pmos_vtg", "vdd", stage.up, UNIT_P),
            ):
                for gate, upper, lower, width in _wire(network, stage.output, rail, f"{stage.output}_{kind[0]}"):
                    count += 1
                    w = width * unit
                    # Source and drain: 105 nm of diffusion beside the gate (poly pitch 190 nm less L, and a contact).
                    diffusion = f"as={w * 105}e-18 ad={w * 105}e-18 ps={w + 210}e-9 pd={w + 210}e-9"
                    lines.append(f"m{count} {upper} {gate} {lower} {rail} {kind} w={w}n l={LENGTH}n {diffusion}")
        for output, value in self.constants:
            lines.append(f"r{output} {output} {'vdd' if value else 'vss'} 1")
        return "\n".join([*lines, ".ends", ""])


def devices(network: Network) -> Iterator[tuple[str, int]]:
    """(net at its gate, width in units) of every transistor: the width is the length of its longest series path."""
    yield from ((gate, width) for gate, _, _, width in _wire(network, "top", "bottom", "n"))


def _depth(network: Network) -> int:
    """Transistors in the longest series path."""
    if isinstance(network, str):
        return 1
    depths = [_depth(part) for part in network.parts]
    return sum(depths) if isinstance(network, All) else max(depths)


def _wire(
    network: Network, upper: str, lower: str, prefix: str, others: int = 0
) -> Iterator[tuple[str, str, str, int]]:
    """(gate, upper net, lower net, width) of each transistor; `others`: series transistors outside this network."""
    if isinstance(network, str):
        yield network, upper, lower, 1 + others
    elif isinstance(network, Any):
        for k, part in enumerate(network.parts):
            yield from _wire(part, upper, lower, f"{prefix}_{k}", others)
    else:
        total = _depth(network)
        nets = [upper, *(f"{prefix}_s{k}" for k in range(1, len(network.parts))), lower]
        for k, part in enumerate(network.parts):
            around = others + total - _depth(part)
            yield from _wire(part, nets[k], nets[k + 1], f"{prefix}_{k}", around)


def dual(network: Network) -> Network:
    """The network with series and parallel exchanged: the pull-up network of a pull-down network."""
    if isinstance(network, str):
        return network
    parts = tuple(dual(part) for part in network.parts)
    return Any(parts) if isinstance(network, All) else All(parts)


def stage(output: str, down: Network, up: Network | None = None) -> Stage:
    """A complex gate; `up` is the dual of `down` unless given."""
    return Stage(output, down, dual(down) if up is None else up)


def _all(*parts: Network) -> Network:
    return All(parts)


def _any(*parts: Network) -> Network:
    return Any(parts)


def _mirror(a: Network, b: Network, c: Network) -> Network:
    """AB + C(A + B), which is its own dual and so serves as both networks."""
    return _any(_all(a, b), _all(c, _any(a, b)))


_CARRY = _mirror("a", "b", "cin")
_EXACT_CARRY = stage("k", _CARRY, _CARRY)
_EXACT_SUM_NETWORK = _any(_all("k", _any("a", "b", "cin")), _all("a", "b", "cin"))
_AMA1_CARRY = stage("k", _any("b", _all("a", "cin")), _any(_all("b", "a"), _all("b", "cin")))
_AMA1_SUM = stage("s", _any(_all("cin", "k"), _all("a", "b", "cin")), _any("cin", _all("k", _any("a", "b"))))
_CARRY_OUT, _SUM_OUT = stage("carry", "k"), stage("sum", "s")

# A three-input XOR as two of the gate xor2.
_XOR3 = (
    stage("m", _any("a", "b")),
    stage("x", _any(_all("a", "b"), "m")),
    stage("n", _any("x", "cin")),
    stage("sum", _any(_all("x", "cin"), "n")),
)

_ADDERS = {
    "exact": (_EXACT_CARRY, stage("s", _EXACT_SUM_NETWORK, _EXACT_SUM_NETWORK), _CARRY_OUT, _SUM_OUT),
    "ama1": (_AMA1_CARRY, _AMA1_SUM, _CARRY_OUT, _SUM_OUT),
    "ama2": (_EXACT_CARRY, _CARRY_OUT, stage("sum", "carry")),
    "ama3": (_AMA1_CARRY, _CARRY_OUT, stage("sum", "carry")),
    "ama4": (stage("k", "a"), _AMA1_SUM, _CARRY_OUT, _SUM_OUT),
    "ama5": (stage("s", "b"), _SUM_OUT, stage("k", "a"), _CARRY_OUT),
    "afa": (*_XOR3, stage("k", "a"), _CARRY_OUT),
    "inxa1": (*_XOR3, stage("k", "cin"), _CARRY_OUT),
    "tsaa": (*_XOR3, stage("carry", "sum")),
}

_GATES = {
    "not": (stage("y", "a"),),
    "buffer": (stage("n", "a"), stage("y", "n")),
    "nand2": (stage("y", _all("a", "b")),),
    "nor2": (stage("y", _any("a", "b")),),
    "and2": (stage("n", _all("a", "b")), stage("y", "n")),
    "or2": (stage("n", _any("a", "b")), stage("y", "n")),
    "xor2": (stage("n", _any("a", "b")), stage("y", _any(_all("a", "b"), "n"))),
    "xnor2": (stage("n", _all("a", "b")), stage("y", _all(_any("a", "b"), "n"))),
    "half_adder": (
        stage("n", _any("a", "b")),
        stage("sum", _any(_all("a", "b"), "n")),
        stage("k", _all("a", "b")),
        stage("carry", "k"),
    ),
    "mux2": (stage("t", "s"), stage("n", _any(_all("a", "t"), _all("b", "s"))), stage("y", "n")),
    "nand3": (stage("y", _all("a", "b", "c")),),
    "nor3": (stage("y", _any("a", "b", "c")),),
    "aoi21": (stage("y", _any(_all("a", "b"), "c")),),
    "oai21": (stage("y", _all(_any("a", "b"), "c")),),
    "majority_not": (stage("y", _mirror("a", "b", "c"), _mirror("a", "b", "c")),),
}


def components() -> tuple[Component, ...]:
    """All components that are characterised: the gates, then the cell library."""
    return (*GATES.values(), *EXTRA_GATES, *CELLS.values())


def schematic(component: Component) -> Schematic:
    """The transistor-level netlist of a library component; `complex_gates` builds cells that have none of their own.

    Names are prefixed, since some simulators do not take "not" or "and2" as the name of a subcircuit.
    """
    if isinstance(component, AdderCell):
        stages = _ADDERS.get(component.name)
        name = f"cell_{component.name}"
    else:
        stages = _GATES[component.name]
        name = f"gate_{component.name}"
    if stages is not None:
        return Schematic(name, component.inputs, component.outputs, stages)
    return complex_gates(name, component.inputs, component.outputs, component.tables)


def complex_gates(name: str, inputs: Sequence[str], outputs: Sequence[str], tables: Sequence[int]) -> Schematic:
    """A schematic with the fewest transistors of this form: one complex gate for each output, and inverters.

    Each output is a complex gate of the shortest factored form of either polarity, over inputs, inverted inputs and
    earlier outputs; an inverter follows where the gate gives its complement. Outputs that are an input are buffered.
    All choices of inverted inputs and all orders of outputs are tried.
    """
    best: Schematic | None = None
    for inverted in range(1 << len(inputs)):
        for order in permutations(range(len(outputs))):
            candidate = _compose(name, inputs, outputs, tables, inverted, order)
            if candidate is not None and (best is None or candidate.transistors < best.transistors):
                best = candidate
    assert best is not None
    return best


def _compose(
    name: str, inputs: Sequence[str], outputs: Sequence[str], tables: Sequence[int], inverted: int, order: Sequence[int]
) -> Schematic | None:
    """The schematic with the inputs in bit set `inverted` inverted, outputs in `order`; None if a form is too long."""
    literals = dict(zip(INPUTS, inputs, strict=False))
    stages = []
    constants = []
    for k, port in enumerate(inputs):
        if inverted >> k & 1:
            literals[INPUTS[k] ^ TRUE] = f"{port}_n"
            stages.append(stage(f"{port}_n", port))
    for index in order:
        table, output = tables[index], outputs[index]
        if table in CONSTANTS:
            constants.append((output, table & 1))
            continue
        if table in literals:
            # A wire: restored by two inverters, or one from the inverse.
            source = literals.get(table ^ TRUE)
            if source is None:
                stages.append(stage(f"{output}_n", literals[table]))
                source = f"{output}_n"
            stages.append(stage(output, source))
            continue
        forms = shortest_forms(tuple(sorted(literals.items())))
        direct, inverse = forms.get(table ^ TRUE), forms.get(table)
        if direct is not None and (inverse is None or literal_count(direct) <= literal_count(inverse) + 1):
            stages.append(stage(output, direct))
        elif inverse is None:
            return None
        else:
            stages += [stage(f"{output}_n", inverse), stage(output, f"{output}_n")]
            literals.setdefault(table ^ TRUE, f"{output}_n")
        literals.setdefault(table, output)
    return Schematic(name, tuple(inputs), tuple(outputs), tuple(stages), tuple(constants))


def literal_count(network: Network) -> int:
    """Number of transistors in a network."""
    return 1 if isinstance(network, str) else sum(literal_count(part) for part in network.parts)


MAXIMUM_STACK = 3
"""Most transistors in series; 4 in forms of more than 6 literals."""


@lru_cache(maxsize=512)
def shortest_forms(literals: tuple[tuple[int, str], ...]) -> dict[int, Network]:
    """The shortest series-parallel network over `literals` for each function (a byte) that can be reached.

    Dynamic programming over the number of literals: a network of n literals joins networks of k and n - k. Neither it
    nor its dual has more than MAXIMUM_STACK transistors in series.
    """
    known: dict[int, Network] = dict(literals)
    by_size: dict[int, list[int]] = {1: list(known)}
    for size in range(2, 13):
        new: dict[int, Network] = {}
        for smaller in range(1, size // 2 + 1):
            for left in by_size.get(smaller, ()):
                for right in by_size.get(size - smaller, ()):
                    for combine, table in ((_all, left & right), (_any, left | right)):
                        if table in known or table in CONSTANTS:
                            continue
                        network = combine(known[left], known[right])
                        if max(_depth(network), _depth(dual(network))) > MAXIMUM_STACK + (size > 6):
                            continue
                        new.setdefault(table, network)
        known |= new
        by_size[size] = list(new)
    return known
