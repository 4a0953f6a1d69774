"""Runs of consecutive places in a block of rows, found by the kernel and used for whole-vector loads and stores.

Lane m of a block is found at place at[m]. Where at[m + 1] = at[m] + 1, as along a row of pixels, at[m] - m does not
change; a run is a maximal set of such lanes. One masked load of 64 bytes from place at[m] - m (of lane 0, if it
belonged to the run) puts all lanes of a run where they belong; lanes outside the mask are not touched in memory.
"""

from __future__ import annotations

from circuits.engine.llvm.ir import Function
from circuits.engine.table_kernels.kernel_task import LANES

_MASKS_AT = 8 + 8 * LANES
RUNS_BYTES = 8 + 16 * LANES + 56
"""Bytes of a list of runs: their number, each one's place of lane 0, each one's mask of lanes; a multiple of 64."""


def runs_function() -> str:
    """@runs(at, count, list): the runs of `count` <= 64 places, int64."""
    f = Function("runs", "ptr %at, i64 %count, ptr %list")
    # Carried from lane to lane: at[m] - m of the present run, the run's number, its mask. No place is -2^63.
    with f.fold("%count", "i64", [str(-(1 << 63)), "-1", "0"]) as (lane, present):
        place = f.element("%at", "i64", lane)
        start = f.op(f"sub i64 {f.op(f'load i64, ptr {place}')}, {lane}")
        begins = f.op(f"icmp ne i64 {start}, {present[0]}")
        number = f.op(f"add i64 {present[1]}, {f.op(f'zext i1 {begins} to i64')}")
        others = f.op(f"select i1 {begins}, i64 0, i64 {present[2]}")
        mask = f.op(f"or i64 {others}, {f.op(f'shl i64 1, {lane}')}")
        f.do(f"store i64 {start}, ptr {f.element(f.offset('%list', 8), 'i64', number)}")
        f.do(f"store i64 {mask}, ptr {f.element(f.offset('%list', _MASKS_AT), 'i64', number)}")
        present[:] = [start, number, mask]
    f.do(f"store i64 {f.op(f'add i64 {present[1]}, 1')}, ptr %list")
    return f.text().replace("define void", "define internal void", 1)


def run_count(f: Function, runs: str) -> str:
    """The number of runs in a list."""
    return f.op(f"load i64, ptr {runs}")


def run_of(f: Function, runs: str, number: str) -> tuple[str, str]:
    """(place of lane 0, mask of lanes), both i64, of a run."""
    start = f.op(f"load i64, ptr {f.element(f.offset(runs, 8), 'i64', number)}")
    return start, f.op(f"load i64, ptr {f.element(f.offset(runs, _MASKS_AT), 'i64', number)}")
