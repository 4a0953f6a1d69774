"""The kernel that turns the operand in lanes into bit-planes, once for all that it is multiplied with.

A lane is an index of one operand of a matrix product: a row of x or a column of w, with the elements along k. 32 lanes
are a lane group, which one thread works on. `tile` lane groups stand side by side: register b of the group `member` of
a tile holds lane

    (tile number * tile * 32) + b * tile + member,

so that neighbouring threads read neighbouring lanes. Planes go four at a time (a quad) to

    planes[((group * tiles + tile number) * depth + k) * quads + quad][member][0 .. 3],

where neighbouring threads find neighbouring quads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from circuits.engine.device.kernels.code_planes import CodeRules
from circuits.engine.device.kernels.float_planes import FloatRules, operand_planes, planes_of_words
from circuits.engine.device.kernels.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.engine.llvm.vectors import Plane

LANES = 32
"""Lanes of a group: bits of a register."""
QUAD_BYTES = 16
_PARAMETERS = (
    "ptr %source, ptr %at, ptr %step, i64 %group_step, ptr %planes, i64 %lanes, i64 %tiles, i64 %tile, i64 %depth"
)


@dataclass(frozen=True)
class PackedKind:
    """What the elements are and which planes they become.

    `element_bits`: 8, 16, 32 or 64 bits in memory. `rules` are those of the product; `first`: whether the packed
    operand is the first one, x.
    """

    element_bits: int
    rules: FloatRules | CodeRules
    first: bool

    @property
    def planes(self) -> int:
        """Planes of the operand."""
        if isinstance(self.rules, FloatRules):
            return operand_planes(self.rules)
        return self.rules.widths[0 if self.first else 1]

    @property
    def quads(self) -> int:
        """Quads of planes."""
        return -(-self.planes // 4)


class PackedPlanes(NamedTuple):
    """Where packed planes lie: their address, the `quads` of a lane group and k, sizes (i64) as the module says."""

    address: str
    quads: int
    tiles: str
    tile: str
    depth: str


class LaneGroup(NamedTuple):
    """A thread's lanes (i64 each): the product's group, the tile's number, and the member of the tile."""

    group: str
    tile_number: str
    member: str


def load_word(e: Registers, bits: int, source: str, index: str) -> str:
    """Element `index` (i64) of an array of `bits` wide elements, as i32."""
    value = e.f.op(f"load i{bits}, ptr {e.f.element(source, f'i{bits}', index)}")
    if bits == 32:
        return value
    return e.f.op(f"{'zext' if bits < 32 else 'trunc'} i{bits} {value} to i32")


def lane_number(e: Registers, lanes: LaneGroup, tile: str, register: int) -> str:
    """The lane of a register; see the module's docstring."""
    f = e.f
    first = f.op(f"mul i64 {f.op(f'mul i64 {lanes.tile_number}, {tile}')}, {LANES}")
    return f.op(f"add i64 {f.op(f'add i64 {first}, {lanes.member}')}, {f.op(f'mul i64 {tile}, {register}')}")


def quad_address(e: Registers, planes: PackedPlanes, lanes: LaneGroup) -> tuple[str, str]:
    """(address of a lane group's first quad for k = 0, bytes from one quad of it to the next)."""
    f = e.f
    number = f.op(f"add i64 {f.op(f'mul i64 {lanes.group}, {planes.tiles}')}, {lanes.tile_number}")
    row = f.op(f"mul i64 {f.op(f'mul i64 {number}, {planes.depth}')}, {planes.quads}")
    place = f.op(f"add i64 {f.op(f'mul i64 {row}, {planes.tile}')}, {lanes.member}")
    first = f.offset(planes.address, f.op(f"mul i64 {place}, {QUAD_BYTES}"))
    return first, f.op(f"mul i64 {planes.tile}, {QUAD_BYTES}")


def packing_kernel(kind: PackedKind) -> Kernel:
    """@kernel(source, at, step, group_step, planes, lanes, tiles, tile, depth), one thread for a lane group and a k.

    Element k of a lane of group g is source[at[lane] + step[k] + g group_step]. The grid has tiles * tile * depth
    threads, and as many groups as there are. Lanes beyond the last repeat it.
    """

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        number = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        row = f.op("mul i64 %tile, %depth")
        with f.when(f.op(f"icmp slt i64 {number}, {f.op(f'mul i64 %tiles, {row}')}")):
            member = f.op(f"urem i64 {number}, %tile")
            rest = f.op(f"udiv i64 {number}, %tile")
            k, tile_number = f.op(f"urem i64 {rest}, %depth"), f.op(f"udiv i64 {rest}, %depth")
            lanes = LaneGroup(place.group, tile_number, member)
            step = f.op(f"load i64, ptr {f.element('%step', 'i64', k)}")
            start = f.op(f"add i64 {step}, {f.op(f'mul i64 {place.group}, %group_step')}")
            last = f.op("sub i64 %lanes, 1")
            words: list[Plane] = []
            for register in range(LANES):
                lane = lane_number(e, lanes, "%tile", register)
                lane = f.op(f"select i1 {f.op(f'icmp slt i64 {lane}, {last}')}, i64 {lane}, i64 {last}")
                at = f.op(f"load i64, ptr {f.element('%at', 'i64', lane)}")
                words.append(load_word(e, kind.element_bits, "%source", f.op(f"add i64 {at}, {start}")))
            rows = e.transpose(words)
            if isinstance(kind.rules, FloatRules):
                planes = planes_of_words(e, kind.rules, rows)
            else:
                planes = [str(row) for row in rows[: kind.planes]]
            planes += ["0"] * (4 * kind.quads - len(planes))
            packed = PackedPlanes("%planes", kind.quads, "%tiles", "%tile", "%depth")
            address, stride = quad_address(e, packed, lanes)
            address = f.offset(address, f.op(f"mul i64 {f.op(f'mul i64 {k}, {stride}')}, {kind.quads}"))
            for quad in range(kind.quads):
                value = "poison"
                for index, plane in enumerate(planes[4 * quad : 4 * quad + 4]):
                    value = f.op(f"insertelement <4 x i32> {value}, i32 {plane}, i32 {index}")
                f.do(f"store <4 x i32> {value}, ptr {address}, align 16")
                address = f.offset(address, stride)

    return Kernel(_PARAMETERS, body)
