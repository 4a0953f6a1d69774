"""AVX-512 code of one variant of a stage, its registers allocated here (rules: `stage_code`).

`vpternlogq d, s, t` computes any function of three vectors, d among them, and t may be in memory. Its immediate is the
truth table with d, s, t as the first, second and third input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from circuits.engine.blocks import PLANE_BYTES
from circuits.engine.known_operands.weight_stages import Operation, Variant
from circuits.netlists.truth_table import INPUTS, compose

REGISTERS = 32
TEMPORARIES = 6
"""Registers that are never homes."""
X_PLANES, OUT_PLANES, SLOT_PLANES = "rdi", "rdx", "rcx"
"""Registers that hold the addresses of planes."""
_SETTLED = -1
"""Owner of a register in which an output has come home."""

_TWO_INPUTS = {INPUTS[0] & INPUTS[1]: "vpandq", INPUTS[0] | INPUTS[1]: "vporq", INPUTS[0] ^ INPUTS[1]: "vpxorq"}
"""Functions with a destination of their own; others of two inputs take vpternlogq."""
_ALL_ONES, _NOT_FIRST = 0xFF, 0x0F
"""Immediates of vpternlogq."""

Home = int | str
"""A register's number, or an address."""


@dataclass
class State:
    """Homes of the state between two stages, and which slots of memory are free."""

    homes: dict[int, Home] = field(default_factory=dict)
    free_slots: list[int] = field(default_factory=list)
    slots: int = 0

    def new_slot(self) -> str:
        """The address of a slot that holds nothing."""
        if not self.free_slots:
            self.free_slots.append(self.slots)
            self.slots += 1
        return f"{SLOT_PLANES}+{self.free_slots.pop() * PLANE_BYTES}"

    def release(self, nodes: Iterable[int]) -> None:
        """Forgets nodes that nothing reads any more."""
        for node in nodes:
            home = self.homes.pop(node)
            if isinstance(home, str) and home.startswith(SLOT_PLANES):
                self.free_slots.append(int(home.removeprefix(f"{SLOT_PLANES}+")) // PLANE_BYTES)


def memory_operand(address: str) -> str:
    """The 64 bytes at an address as an operand."""
    return f"zmmword ptr [{address}]"


def _in_memory(place: str) -> bool:
    return place.startswith("zmmword")


def _assign(target: str, literal: int, where: str) -> list[str]:
    """target = literal, whose node is at `where`."""
    if literal <= 1:
        return [
            f"vpternlogq {target}, {target}, {target}, {_ALL_ONES}"
            if literal
            else f"vpxorq {target}, {target}, {target}"
        ]
    lines = [f"vmovdqa64 {target}, {where}"] if where != target else []
    return [*lines, f"vpternlogq {target}, {target}, {target}, {_NOT_FIRST}"] if literal & 1 else lines


def _overwriters_last(variant: Variant, overwritten: Mapping[int, int | None]) -> list[Operation]:
    """The operations in an order that reads state before it is overwritten, where that is possible without a copy.

    `overwritten`: the state value in the home of each output. An operation that would overwrite a value waits for the
    other readers of the value, if these have all their operands.
    """
    readers: dict[int, list[Operation]] = {}
    for operation in variant.operations:
        for node in operation[2]:
            readers.setdefault(node, []).append(operation)
    pending = {operation[0] for operation in variant.operations}
    order: list[Operation] = []

    def take(operation: Operation) -> None:
        if operation[0] in pending:
            pending.discard(operation[0])
            order.append(operation)

    for operation in variant.operations:
        state = overwritten.get(operation[0])
        if state is not None and state in operation[2] and operation[0] in pending:
            for reader in readers[state]:
                if reader is not operation and not pending.intersection(reader[2]):
                    take(reader)
        take(operation)
    return order


class VariantCode:
    """Generates one variant.

    Invariants: `_owner[r]` is the node whose value register r holds, or None, or _SETTLED; `_register` is its inverse.
    `_address` tells which values are in memory, perhaps besides. `_reads[node]` are the positions that have yet to read
    the node, the nearest last; the end of the variant is one of them for what becomes an output.
    """

    def __init__(
        self,
        variant: Variant,
        state: State,
        dying: set[int],
        known: Mapping[int, int],
        places: Mapping[int, Home],
        inputs: int,
    ) -> None:
        self._lines: list[str] = []
        self._variant = variant
        self._homes = homes = {node: places[node] for node in variant.values}
        # Slots taken within the variant are free again behind it.
        self._memory = State(free_slots=list(state.free_slots), slots=state.slots)
        self._claimed = {home for home in homes.values() if isinstance(home, int)}
        # What later stages read too stays where it is.
        self._fixed = set(state.homes) - dying - set(known)
        held: dict[Home, int] = {home: node for node, home in state.homes.items() if node not in known}
        self._operations = _overwriters_last(variant, {n: held.get(home) for n, home in homes.items()})
        self._reads: dict[int, list[int]] = {}
        self._end = len(variant.operations)
        for literal in variant.values.values():
            self._reads[(literal >> 1) - 1] = [self._end]
        for position in reversed(range(self._end)):
            for node in self._operations[position][2]:
                self._reads.setdefault(node, []).append(position)
        # An output in its own polarity can be computed in its home.
        self._home_of = {
            (literal >> 1) - 1: homes[node]
            for node, literal in reversed(list(variant.values.items()))
            if not literal & 1
        }
        self._owner: list[int | None] = [None] * REGISTERS
        self._register: dict[int, int] = {}
        self._address: dict[int, str] = {node: f"{X_PLANES}+{node * PLANE_BYTES}" for node in range(inputs)}
        for node, home in state.homes.items():
            if node in known:
                continue
            if isinstance(home, str):
                self._address[node] = home
            elif self._is_needed(node):
                self._hold(node, home)

    def lines(self) -> list[str]:
        """The code."""
        for position, operation in enumerate(self._operations):
            self._compute(position, operation)
        self._bring_home()
        return self._lines

    @property
    def slots(self) -> int:
        """Slots of memory that the code uses, those of the state included."""
        return self._memory.slots

    # Values and registers.

    def _is_needed(self, node: int) -> bool:
        return bool(self._reads.get(node)) or node in self._fixed

    def _last_reads(self, operands: Iterable[int]) -> list[int]:
        """The operands in registers that nothing else reads."""
        return [operand for operand in operands if operand in self._register and not self._is_needed(operand)]

    def _hold(self, node: int, register: int) -> None:
        self._owner[register] = node
        self._register[node] = register

    def _empty(self, register: int) -> None:
        owner = self._owner[register]
        if owner is not None:
            self._register.pop(owner, None)
        self._owner[register] = None

    def _where(self, node: int) -> str:
        """The node as an operand, a register or memory."""
        if node in self._register:
            return f"zmm{self._register[node]}"
        return memory_operand(self._address[node])

    def _free_register(self, keep: Iterable[int]) -> int:
        """A register that holds nothing; emptied if need be, but none with a value of `keep`."""
        empty = [register for register in reversed(range(REGISTERS)) if self._owner[register] is None]
        if empty:
            return next((register for register in empty if register not in self._claimed), empty[0])
        movable = self._register.keys() - self._fixed - set(keep)
        victim = max(movable, key=lambda node: (self._reads[node][-1], node))
        register = self._register[victim]
        if victim not in self._address:
            self._address[victim] = self._memory.new_slot()
            self._lines.append(f"vmovdqa64 {memory_operand(self._address[victim])}, zmm{register}")
        self._empty(register)
        return register

    def _load(self, node: int, keep: Iterable[int]) -> None:
        """Brings a value from memory into a register."""
        where = self._where(node)
        register = self._free_register(keep)
        self._lines.append(f"vmovdqa64 zmm{register}, {where}")
        self._hold(node, register)

    def _vacate(self, register: int, keep: tuple[int, ...]) -> None:
        """Empties a register; a value that is needed moves to another one, unless it is in memory."""
        node = self._owner[register]
        if node is not None and (node in keep or node not in self._address) and self._is_needed(node):
            other = self._free_register([*keep, node])
            self._lines.append(f"vmovdqa64 zmm{other}, zmm{register}")
            self._empty(register)
            self._hold(node, other)
        else:
            self._empty(register)

    # Operations.

    def _compute(self, position: int, operation: Operation) -> None:
        node, table, operands = operation
        for operand in operands:
            assert self._reads[operand].pop() == position
        home = self._home_of.get(node)
        # A value that is read again is loaded once: a copy within the registers costs less than a second load. One
        # operand may stay in memory.
        outside = [operand for operand in operands if operand not in self._register]
        once = [operand for operand in outside if not self._is_needed(operand)]
        for operand in [operand for operand in outside if operand not in once[:1]]:
            self._load(operand, operands)
        last = self._last_reads(operands)
        stale = None
        if isinstance(home, int):
            destination = home
            occupant = self._owner[home]
            if occupant not in last:
                self._vacate(home, operands)
                # An operand that moved away can still be read here once.
                stale = occupant
        else:
            destination = self._register[last[0]] if last else self._free_register(operands)
        self._operate(table, operands, destination, stale)
        for operand in last:
            self._empty(self._register[operand])
        self._hold(node, destination)
        if isinstance(home, str):
            self._lines.append(f"vmovdqa64 {memory_operand(home)}, zmm{destination}")
            self._address[node] = home
            if self._reads[node] == [self._end]:
                self._empty(destination)

    @staticmethod
    def _is_plain(table: int, operands: tuple[int, ...]) -> bool:
        """Whether an instruction with a destination of its own computes the function."""
        return len(operands) == 2 and table in _TWO_INPUTS

    def _operate(self, table: int, operands: tuple[int, ...], destination: int, stale: int | None) -> None:
        """destination = table(operands), where the destination still holds the operand `stale`."""
        target = f"zmm{destination}"
        where = [target if node == stale else self._where(node) for node in operands]
        in_memory = [_in_memory(place) for place in where]
        if self._is_plain(table, operands):
            second = int(not in_memory[0])
            self._lines.append(f"{_TWO_INPUTS[table]} {target}, {where[1 - second]}, {where[second]}")
            return
        # vpternlog overwrites its first operand: that in the destination, or else a copy, best of one in memory.
        first = where.index(target) if target in where else in_memory.index(True) if any(in_memory) else 0
        if where[first] != target:
            self._lines.append(f"vmovdqa64 {target}, {where[first]}")
        others = sorted((k for k in range(len(operands)) if k != first), key=in_memory.__getitem__)
        order = [first, *others]
        immediate = compose(table, [INPUTS[order.index(k)] for k in range(len(operands))])
        sources = [where[k] for k in others] if len(others) == 2 else [target, where[others[0]]]
        if len(others) == 1:
            # The second input repeats the first; the other operand is the third.
            immediate = compose(table, [INPUTS[0 if k == first else 2] for k in range(2)])
        self._lines.append(f"vpternlogq {target}, {sources[0]}, {sources[1]}, {immediate}")

    # The end of the variant.

    def _bring_home(self) -> None:
        """Brings every output to its home."""
        outputs = [(self._homes[node], literal) for node, literal in self._variant.values.items()]
        # Memory first: storing may take registers from values.
        for home, literal in outputs:
            if isinstance(home, str) and (literal & 1 or self._address.get((literal >> 1) - 1) != home):
                self._store(literal, home)
        pending: dict[int, int] = {}  # home register -> literal
        for home, literal in outputs:
            if isinstance(home, int) and (literal & 1 or self._register.get((literal >> 1) - 1) != home):
                pending[home] = literal
        while pending:
            register = next((home for home in pending if not self._is_wanted(home, pending)), None)
            if register is None:
                # A cycle: one of its values steps aside.
                self._step_aside(next(iter(pending)), pending)
                continue
            literal = pending.pop(register)
            where = self._where((literal >> 1) - 1) if literal > 1 else ""
            self._lines += _assign(f"zmm{register}", literal, where)
            self._empty(register)
            self._owner[register] = _SETTLED

    def _is_wanted(self, register: int, pending: Mapping[int, int]) -> bool:
        """Whether another register than this one waits for what it holds."""
        owner = self._owner[register]
        return any((literal >> 1) - 1 == owner for home, literal in pending.items() if home != register)

    def _step_aside(self, register: int, pending: Mapping[int, int]) -> None:
        node = self._owner[register]
        assert node is not None
        sources = {(literal >> 1) - 1 for literal in pending.values()}
        kept = sources | self._fixed | {_SETTLED}
        spare = next(
            other
            for other in reversed(range(REGISTERS))
            if other not in self._claimed and (self._owner[other] is None or self._owner[other] not in kept)
        )
        self._lines.append(f"vmovdqa64 zmm{spare}, zmm{register}")
        self._empty(spare)
        self._empty(register)
        self._hold(node, spare)

    def _store(self, literal: int, address: str) -> None:
        """Writes a literal to memory."""
        source = (literal >> 1) - 1
        if literal > 1 and not literal & 1 and source in self._register:
            register = self._register[source]
        else:
            register = self._free_register([])
            self._lines += _assign(f"zmm{register}", literal, self._where(source) if literal > 1 else "")
        self._lines.append(f"vmovdqa64 {memory_operand(address)}, zmm{register}")
