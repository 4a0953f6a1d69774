"""The table kernel of AVX-512 hosts with VBMI: 64 products are looked up in registers by a few byte permutations.

A weight's row of the table, one product for every code of x, is held as byte planes in registers, 64 codes a register:
`vpermb` picks 64 bytes out of a register by the low 6 bits of 64 codes. Lanes run over rows m. The kernel works on two
or four blocks of 64 rows at a time, because loading a weight's row from the second-level cache (512 bytes for 8x8 bits)
takes longer than 64 products. For each chunk of k,

    the codes of x are gathered into a tile [k][block][64 lanes], once for all columns;
    for each column the terms of the chunk are looked up and summed in registers, then added to totals in scratch;

and behind the last chunk the totals go to `out`. What a term is, and how it is summed, is `Terms`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.table_kernels.kernel_task import LANES, PARAMETERS, field, kernel_function
from circuits.engine.table_kernels.row_runs import RUNS_BYTES, run_count, run_of, runs_function

SUMS = 4
"""Blocks of rows times columns whose sums are held in registers at a time."""
CHUNK = 128
"""Terms of a chunk: 128 x 4 blocks of codes are 32 KB, and sums of 257 bytes fit 16 bits."""
_GATHERED = 3
"""Terms gathered at a time; most kernels of convolutions have a multiple of 3 x 3."""
_SCATTERED = 12
"""More runs than these in a block are stored lane by lane."""
_COLUMNS_COPIED = 16


class Terms(Protocol):
    """One kind of products and sums. Hashable, as kernels are cached under it.

    `tile_bytes`: bytes of the tile for each k and block. `most_blocks`: blocks that a weight's row is loaded for at a
    time, at most SUMS; fewer blocks go with more columns, which share the masks made from the codes of x.
    `accumulators` of type `kind` a block sum a chunk's terms, from what `begin` gives. `result`: the type of totals and
    of `out`, i32, i64 or float; 64 of them a block.
    """

    @property
    def tile_bytes(self) -> int: ...
    @property
    def most_blocks(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def accumulators(self) -> int: ...
    @property
    def result(self) -> str: ...

    def declarations(self) -> str:
        """Declarations of the intrinsics in use."""

    def gather(self, f: Function, places: list[str], runs: str, tiles: list[str]) -> None:
        """Writes a block's part of the tile for each of a few k; `places`: what k adds to the places of the rows."""

    def load_row(self, f: Function, table: str, weight: str) -> list[str]:
        """What a term needs of the weight at this place, for all blocks: its row of the table."""

    def begin(self, f: Function, totals: str) -> list[str]:
        """The accumulators before a chunk; `totals`: address of the block's totals."""

    def load_codes(self, f: Function, tile: str) -> list[str]:
        """What a term needs of a block's codes at `tile`, for all columns."""

    def add(self, f: Function, row: list[str], codes: list[str], sums: list[str]) -> list[str]:
        """The accumulators with a term added."""

    def end(self, f: Function, totals: str, sums: list[str]) -> None:
        """Updates the totals with the accumulators behind a chunk."""

    def results(self, f: Function, totals: str) -> list[str]:
        """The totals as four vectors of 16 results, in the order of the rows."""


def lookup_cost(segments: int) -> float:
    """Time of 64 products from rows of so many registers, in byte permutations for each plane.

    Permutations can begin on one of the two vector ports, one a cycle; a plane takes three more instructions on either.
    """
    return max(segments, (segments + 3) / 2)


def result_bytes(terms: Terms) -> int:
    """Bytes of one result."""
    return 8 if terms.result == "i64" else 4


def scratch_bytes(terms: Terms, depth: int, columns: int) -> int:
    """Bytes of scratch (64-aligned) that a task of `columns` columns needs."""
    runs = 2 * terms.most_blocks * RUNS_BYTES
    totals = terms.most_blocks * LANES * result_bytes(terms) * (columns + 1)
    return runs + terms.most_blocks * min(depth, CHUNK) * terms.tile_bytes + totals + 64


def permutation_ir(terms: Terms) -> str:
    """The module of `permutation_kernel`."""
    parts = [terms.declarations(), _STORES[terms.result], runs_function()]
    parts += [_blocks_function(terms, blocks) for blocks in range(1, terms.most_blocks + 1)]
    f = Function("kernel", PARAMETERS)
    rows = field(f, "rows")
    at_once = terms.most_blocks * LANES
    whole = f.op(f"and i64 {rows}, {-at_once}")
    arguments = "ptr %task, ptr %x, ptr %w, ptr %out, ptr %scratch"
    with f.loop(whole, step=at_once) as first:
        f.do(f"call void @blocks{terms.most_blocks}({arguments}, i64 {first}, i64 {at_once})")
    rest = f.op(f"sub i64 {rows}, {whole}")
    rest_blocks = f.op(f"lshr i64 {f.op(f'add i64 {rest}, {LANES - 1}')}, {LANES.bit_length() - 1}")
    for blocks in range(1, terms.most_blocks + 1):
        with f.when(f.op(f"icmp eq i64 {rest_blocks}, {blocks}")):
            f.do(f"call void @blocks{blocks}({arguments}, i64 {whole}, i64 {rest})")
    return "\n".join([*parts, f.text()])


_STORES = {
    kind: f"declare void @llvm.masked.store.v16{name}.p0(<16 x {kind}>, ptr, i32, <16 x i1>)\n"
    for kind, name in (("i32", "i32"), ("i64", "i64"), ("float", "f32"))
}


def _blocks_function(terms: Terms, blocks: int) -> str:
    """@blocks{blocks}: all groups and columns of `count` rows from row `first` of the task on."""
    f = Function(f"blocks{blocks}", f"{PARAMETERS}, i64 %first, i64 %count")
    depth, columns, table = field(f, "depth"), field(f, "columns"), field(f, "table")
    x_runs = "%scratch"
    out_runs = f.offset(x_runs, terms.most_blocks * RUNS_BYTES)
    tile = f.offset(out_runs, terms.most_blocks * RUNS_BYTES)
    tile_row = blocks * terms.tile_bytes
    most = f.op(f"icmp slt i64 {depth}, {CHUNK}")
    tile_size = f.op(f"mul i64 {f.op(f'select i1 {most}, i64 {depth}, i64 {CHUNK}')}, {tile_row}")
    totals = f.offset(tile, tile_size)
    block_totals = LANES * result_bytes(terms)
    for name, lists in (("x_at", x_runs), ("out_at", out_runs)):
        places = f.element(field(f, name), "i64", "%first")
        for block in range(blocks):
            count = f.op(f"sub i64 %count, {LANES * block}")
            full = f.op(f"icmp slt i64 {count}, {LANES}")
            count = f.op(f"select i1 {full}, i64 {count}, i64 {LANES}")
            at = f.offset(places, 8 * LANES * block)
            f.do(f"call void @runs(ptr {at}, i64 {count}, ptr {f.offset(lists, block * RUNS_BYTES)})")

    x_step, x_group, w_group = field(f, "x_step"), field(f, "x_group"), field(f, "w_group")
    x_first, w_first = field(f, "x_first"), field(f, "w_first")
    with f.loop(field(f, "groups")) as group:
        x_begin = f.op(f"add i64 {x_first}, {f.op(f'mul i64 {group}, {x_group}')}")
        w_begin = f.op(f"add i64 {w_first}, {f.op(f'mul i64 {group}, {w_group}')}")
        zeros = f.op(f"mul i64 {columns}, {blocks * block_totals // 64}")
        with f.loop(zeros) as line:
            f.do(f"store <16 x i32> zeroinitializer, ptr {f.element(totals, '<16 x i32>', line)}, align 64")
        with f.loop(depth, step=CHUNK) as begin:
            left = f.op(f"sub i64 {depth}, {begin}")
            more = f.op(f"icmp sgt i64 {left}, {CHUNK}")
            terms_here = f.op(f"select i1 {more}, i64 {CHUNK}, i64 {left}")
            _emit_gather(f, terms, blocks, terms_here, x_begin, f.element(x_step, "i64", begin), tile, x_runs)
            weights = f.op(f"add i64 {w_begin}, {begin}")
            chunk = _Chunk(blocks, table, weights, depth, terms_here, tile, totals)
            begin_column = "0"
            for together in dict.fromkeys((SUMS // blocks, 1)):
                rest = f.op(f"urem i64 {f.op(f'sub i64 {columns}, {begin_column}')}, {together}")
                end_column = f.op(f"sub i64 {columns}, {rest}")
                with f.loop(end_column, begin_column, together) as column:
                    _emit_columns(f, terms, chunk, together, column)
                begin_column = end_column
        _emit_stores(f, terms, blocks, group, columns, totals, out_runs)
    return f.text().replace("define void", "define internal void", 1)


def _emit_gather(
    f: Function, terms: Terms, blocks: int, terms_here: str, x_begin: str, steps: str, tile: str, x_runs: str
) -> None:
    """Fills the tile, a few k at a time: they share what is to be known of a run."""
    tile_row = blocks * terms.tile_bytes
    whole = f.op(f"sub i64 {terms_here}, {f.op(f'urem i64 {terms_here}, {_GATHERED}')}")
    for begin, end, together in (("0", whole, _GATHERED), (whole, terms_here, 1)):
        with f.loop(end, begin, together) as first:
            step = f.element(steps, "i64", first)
            places = [
                f.op(f"add i64 {x_begin}, {f.op(f'load i64, ptr {f.offset(step, 8 * i)}')}") for i in range(together)
            ]
            row = f.offset(tile, f.op(f"mul i64 {first}, {tile_row}"))
            for block in range(blocks):
                tiles = [f.offset(row, i * tile_row + block * terms.tile_bytes) for i in range(together)]
                terms.gather(f, places, f.offset(x_runs, block * RUNS_BYTES), tiles)


class _Chunk(NamedTuple):
    """A chunk of k of some `blocks` of rows, gathered at `tile`: `length` terms of the `depth` of each sum.

    `table` and `totals` are addresses, `first_weight` the place of column 0's first weight of the chunk.
    """

    blocks: int
    table: str
    first_weight: str
    depth: str
    length: str
    tile: str
    totals: str


def _emit_columns(f: Function, terms: Terms, chunk: _Chunk, together: int, column: str) -> None:
    """The chunk's terms of `together` columns from `column` on."""
    blocks, table, first_weight, depth, length, tile, totals = chunk
    tile_row, block_totals, each = blocks * terms.tile_bytes, LANES * result_bytes(terms), terms.accumulators
    columns = [f.op(f"add i64 {column}, {i}") for i in range(together)]
    own_weights = [f.op(f"add i64 {first_weight}, {f.op(f'mul i64 {n}, {depth}')}") for n in columns]
    own_totals = [f.offset(totals, f.op(f"mul i64 {n}, {blocks * block_totals}")) for n in columns]
    addresses = [f.offset(own, block * block_totals) for own in own_totals for block in range(blocks)]
    sums = [value for address in addresses for value in terms.begin(f, address)]
    with f.fold(length, terms.kind, sums) as (k, present):
        row = f.offset(tile, f.op(f"mul i64 {k}, {tile_row}"))
        # The codes' masks serve all columns, and the weight's row of the table all blocks.
        codes = [terms.load_codes(f, f.offset(row, block * terms.tile_bytes)) for block in range(blocks)]
        for i, weight in enumerate(own_weights):
            table_row = terms.load_row(f, table, f.op(f"add i64 {weight}, {k}"))
            for block in range(blocks):
                at = (i * blocks + block) * each
                present[at : at + each] = terms.add(f, table_row, codes[block], present[at : at + each])
    for number, address in enumerate(addresses):
        terms.end(f, address, present[number * each : (number + 1) * each])


def _emit_stores(f: Function, terms: Terms, blocks: int, group: str, columns: str, totals: str, out_runs: str) -> None:
    """Writes the totals of all columns to `out`."""
    kind, size = terms.result, result_bytes(terms)
    vector, name = f"<16 x {kind}>", {"i32": "i32", "i64": "i64", "float": "f32"}[kind]
    out_step = field(f, "out_step")
    group_place = f.op(f"mul i64 {group}, {field(f, 'out_group')}")
    out_begin = f.op(f"add i64 {field(f, 'out_first')}, {group_place}")
    constant = f.op(f"trunc i64 {field(f, 'constant')} to i32") if kind == "i32" else field(f, "constant")
    with f.loop(columns) as column:
        own = f.offset(totals, f.op(f"mul i64 {column}, {blocks * LANES * size}"))
        place = f.op(f"add i64 {out_begin}, {f.op(f'mul i64 {column}, {out_step}')}")
        target = f.element("%out", kind, place)
        for block in range(blocks):
            block_totals = f.offset(own, block * LANES * size)
            results = terms.results(f, block_totals)
            if kind != "float":
                first = f.op(f"insertelement {vector} poison, {kind} {constant}, i32 0")
                spread = f.op(f"shufflevector {vector} {first}, {vector} poison, <16 x i32> zeroinitializer")
                results = [f.op(f"add {vector} {value}, {spread}") for value in results]
            runs = f.offset(out_runs, block * RUNS_BYTES)
            count = run_count(f, runs)
            scattered = f.op(f"icmp sgt i64 {count}, {_SCATTERED}")
            with f.when(f.op(f"xor i1 {scattered}, true")), f.loop(count) as number:
                start, mask = run_of(f, runs, number)
                for part, value in enumerate(results):
                    lanes = f.op(f"trunc i64 {f.op(f'lshr i64 {mask}, {16 * part}')} to i16")
                    address = f.offset(f.element(target, kind, start), 16 * part * size)
                    f.do(
                        f"call void @llvm.masked.store.v16{name}.p0({vector} {value}, ptr {address}, i32 {size}, "
                        f"<16 x i1> {f.op(f'bitcast i16 {lanes} to <16 x i1>')})"
                    )
            with f.when(scattered):
                for part, value in enumerate(results):
                    f.do(f"store {vector} {value}, ptr {f.offset(block_totals, 16 * part * size)}, align 64")
    for block in range(blocks):
        runs = f.offset(out_runs, block * RUNS_BYTES)
        with f.when(f.op(f"icmp sgt i64 {run_count(f, runs)}, {_SCATTERED}")):
            own_totals = f.offset(totals, block * LANES * size)
            _emit_scattered(f, terms, blocks, block, columns, own_totals, f.element("%out", kind, out_begin))


def _emit_scattered(
    f: Function, terms: Terms, blocks: int, block: int, columns: str, totals: str, results: str
) -> None:
    """Copies a block's results from `totals` to `out`, row by row in groups of columns.

    In the result of a linear layer a column's rows lie a power of two apart, often, so that one column after the other
    would find none of its lines in the first-level cache again.
    """
    kind, size = terms.result, result_bytes(terms)
    out_step, out_at = field(f, "out_step"), f.element(field(f, "out_at"), "i64", "%first")
    rows = f.op(f"sub i64 %count, {LANES * block}")
    short = f.op(f"icmp slt i64 {rows}, {LANES}")
    rows = f.op(f"select i1 {short}, i64 {rows}, i64 {LANES}")
    with f.loop(columns, step=_COLUMNS_COPIED) as first:
        left = f.op(f"sub i64 {columns}, {first}")
        fewer = f.op(f"icmp slt i64 {left}, {_COLUMNS_COPIED}")
        here = f.op(f"select i1 {fewer}, i64 {left}, i64 {_COLUMNS_COPIED}")
        place = f.op(f"mul i64 {first}, {out_step}")
        sources = f.offset(totals, f.op(f"mul i64 {first}, {blocks * LANES * size}"))
        with f.loop(rows) as lane:
            at = f.op(f"load i64, ptr {f.element(f.offset(out_at, 8 * LANES * block), 'i64', lane)}")
            target = f.element(results, kind, f.op(f"add i64 {at}, {place}"))
            source = f.element(sources, kind, lane)
            with f.loop(here) as n:
                value = f.op(f"load {kind}, ptr {f.offset(source, f.op(f'mul i64 {n}, {blocks * LANES * size}'))}")
                f.do(f"store {kind} {value}, ptr {f.element(target, kind, f.op(f'mul i64 {n}, {out_step}'))}")


@lru_cache(maxsize=64)
def permutation_kernel(terms: Terms, target: Target) -> Any:
    """The compiled kernel of these terms; `kernel_task` says how it is called."""
    return kernel_function(load(permutation_ir(terms), target))
