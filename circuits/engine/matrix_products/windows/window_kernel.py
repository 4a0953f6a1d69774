"""The matmul kernel whose lanes are elements of x: for products that read an element again at every position k.

In a depthwise convolution every element of an image meets every weight of its channel, at another row each time. The
kernels whose lanes are rows gather and pack it once for each k, which takes longer than its products. Here it is packed
once, multiplied with all weights, and the sums fetch the products from where they lie:

    element     p = position + step[k]           of a span, a stretch of x (see `window_spans`)
    line[k][p]  = x[p] * w[n, k]
    sum[m]      = +0 + line[0][position(m) + step[0]] + line[1][position(m) + step[1]] + ...

Each sum adds its products in ascending k, as everywhere. Rows that stand side by side have products side by side, so
that sums are whole vectors. An element at the edge of an image also meets weights whose products no row wants; those
are computed in vain.

With AVX-512 elements that are zero take no part, as in `known_operands.sparse_matmul_kernel`. The products of a line
are packed then; those that a vector of sums wants are found by rank, and `vexpandps` puts them where they belong:

    products        p0 p1 p2 p3 ...              of the elements that are not zero, in order
    present         1 0 0 1 1 0 1 ...            a bit for each element
    line[e ..]      expanded(products from the one whose number is the count of ones before e, bits from e on)

The work is cut into chunks, some spans of a group or all spans of some groups:

    for each chunk:
        for each group, for each span:       append the elements that are not zero
        pack them into blocks                a group begins at a multiple of 16 lanes
        for each column n:
            for each block, for each k:      products[k][block] = gates(block, weights)
            for each group, span and row:    add the lines

The gates take a weight that all lanes share (`known_operands.weight_gates`; a chunk then has one group), or weights of
strips of 16 lanes, as in `strips.strip_kernel`. A chunk in which a product may leave the normal range is left to other
kernels.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, LIMB, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.float_parts import (
    BIAS,
    EXPONENT,
    SIGN_AND_EXPONENT,
    X_BYTES,
    X_WORDS_AT,
    KernelSettings,
    emit_pack,
    emit_words,
)
from circuits.engine.llvm.float_results import emit_exponent_range, emit_products, emit_stay_normal
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.matrix_products.windows.window_elements import ElementCode
from circuits.engine.matrix_products.windows.window_records import CHUNK_FIELDS, LANES, STRIPS, TAP_BYTES
from circuits.engine.matrix_products.windows.window_sums import SumCode


def window_ir(settings: KernelSettings, target: Target, *, weight_gates: bool, margins: bool) -> str:
    """The kernel of some chunks.

    @kernel(gates, shape, x, w, out, first_chunk, end_chunk, failed, scratch), `shape` as WINDOW_SHAPE says: writes the
    sums of all rows of the spans and groups of the chunks first_chunk .. end_chunk - 1, for all columns, as
    `gathering.gathered_matmul` says; or sets failed[chunk], a byte, to 1, where a product might not be normal.
    `margins`: x holds images without the margins that the places count (AVX-512).
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %shape, ptr %x, ptr %w, ptr %out, i64 %first_chunk, i64 %end_chunk, ptr %failed, ptr %scratch",
    )
    kernel = _Kernel(f, settings, target, weight_gates, margins)
    with f.loop("%end_chunk", "%first_chunk") as chunk:
        kernel.emit_chunk(chunk)
    return kernel.declarations() + f.text()


class _Kernel(ElementCode, SumCode):
    """Emits a chunk: its elements, their products, the sums."""

    def emit_chunk(self, number: str) -> None:
        """One chunk."""
        f, shape = self.f, self.shape
        self.chunk = self.fields_of(shape.chunks, number, CHUNK_FIELDS)
        count = self.emit_elements()
        blocks = self.emit_fill(count)
        x_range = emit_exponent_range(
            self.e, self.settings.subnormal_words, [(shape.operands, f.op(f"mul i64 {blocks}, {BLOCK}"))]
        )
        words = f.op(f"mul i64 {shape.columns}, {shape.w_width}")
        groups = f.op(f"sub i64 {self.chunk.end_group}, {self.chunk.first_group}")
        weights = f.element("%w", "i32", f.op(f"mul i64 {self.chunk.first_group}, {words}"))
        w_words = f.op(f"mul i64 {groups}, {words}")
        w_range = emit_exponent_range(self.e, self.settings.subnormal_words, [(weights, w_words)])
        normal = emit_stay_normal(f, self.settings, x_range, w_range)
        failed = f.op(f"zext i1 {f.op(f'xor i1 {normal}, true')} to i8")
        f.do(f"store i8 {failed}, ptr {f.element('%failed', 'i8', number)}")
        with f.when(normal):
            with f.loop(blocks) as block:
                planes = f.offset(shape.packed, f.op(f"mul i64 {block}, {X_BYTES}"))
                source = f.offset(shape.operands, f.op(f"mul i64 {block}, {WORD_BYTES}"))
                words_at = f.offset(planes, X_WORDS_AT)
                emit_pack(self.e, self.settings, source, planes, words_at, less=BIAS)
            with f.loop(shape.columns) as column:
                multiply = self._emit_known_weights if self.weight_gates else self._emit_strips
                taps = multiply(column, blocks)
                self.emit_sums(column, taps)

    def declarations(self) -> str:
        """What the module must declare."""
        mask, v, vf = f"<{LANES} x i1>", f"<{LANES} x i32>", f"<{LANES} x float>"
        text = f"declare void @llvm.masked.store.v16f32.p0({vf}, ptr, i32, {mask})\n"
        if self.compresses:
            text += (
                f"declare {v} @llvm.masked.load.v16i32.p0(ptr, i32, {mask}, {v})\n"
                f"declare {v} @llvm.masked.expandload.v16i32(ptr, {mask}, {v})\n"
                f"declare {v} @llvm.x86.avx512.mask.compress.v16i32({v}, {v}, {mask})\n"
                f"declare {vf} @llvm.x86.avx512.mask.expand.v16f32({vf}, {vf}, {mask})\n"
                f"declare {vf} @llvm.x86.avx512.mask.compress.v16f32({vf}, {vf}, {mask})\n"
                "declare i32 @llvm.ctpop.i32(i32)\n"
                "declare i16 @llvm.ctpop.i16(i16)\n"
            )
        return text

    def _emit_tap(self, number: str, k: str) -> None:
        """Notes that the products `number` belong to position k."""
        f, shape = self.f, self.shape
        record = f.offset(shape.taps, f.op(f"mul i64 {number}, {TAP_BYTES}"))
        step = f.op(f"load i64, ptr {f.element(shape.x_step, 'i64', k)}")
        f.do(f"store i64 {f.op(f'sub i64 {step}, {shape.lowest}')}, ptr {record}")
        f.do(f"store i64 {f.op(f'mul i64 {number}, {shape.stride}')}, ptr {f.offset(record, 8)}")

    def _products(self, tap: str, block: str) -> str:
        f = self.f
        line = f.offset(self.shape.products, f.op(f"mul i64 {tap}, {self.shape.stride}"))
        return f.offset(line, f.op(f"mul i64 {block}, {WORD_BYTES}"))

    def _packed(self, block: str) -> str:
        return self.f.offset(self.shape.packed, self.f.op(f"mul i64 {block}, {X_BYTES}"))

    def _emit_known_weights(self, column: str, blocks: str) -> str:
        """The products of all blocks with the weights of the chunk's group that are not zero; returns their number."""
        f, e, shape = self.f, self.e, self.shape
        row = f.op(f"add i64 {f.op(f'mul i64 {self.chunk.first_group}, {shape.columns}')}, {column}")
        weights = f.element("%w", "i32", f.op(f"mul i64 {row}, {shape.w_width}"))
        # A zero weight, like a zero element, changes no sum. What is noted of it is overwritten by the next one.
        with f.fold(shape.depth, "i64", ["0"]) as (k, count):
            weight = f.op(f"load i32, ptr {f.element(weights, 'i32', k)}")
            f.do(f"store i32 {weight}, ptr {f.element(shape.tap_weights, 'i32', count[0])}")
            self._emit_tap(count[0], k)
            present = f.op(f"icmp ne i32 {f.op(f'and i32 {weight}, {EXPONENT}')}, 0")
            count[0] = f.op(f"add i64 {count[0]}, {f.op(f'zext i1 {present} to i64')}")
        with f.loop(count[0]) as tap:
            weight = f.op(f"load i32, ptr {f.element(shape.tap_weights, 'i32', tap)}")
            w = e.broadcast(f.op(f"and i32 {weight}, {SIGN_AND_EXPONENT - (1 << 32)}"))
            with f.loop(blocks) as block:
                planes, products, product = self._packed(block), self._products(tap, block), shape.product
                f.do(f"call void %gates(ptr {planes}, i32 {weight}, ptr {product}, ptr {shape.w_planes})")
                x_words = f.offset(planes, X_WORDS_AT)
                with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
                    # No operand is zero, so that exponents are added unconditionally (see `float_results`).
                    for b, word in enumerate(emit_words(e, self.settings, product, byte)):
                        exponent = e.integer("add", e.load(x_words, b, byte), w)
                        e.store(e.integer("add", word, exponent), products, b, byte)
        return count[0]

    def _emit_strips(self, column: str, blocks: str) -> str:
        """The products of all blocks with the weights of their strips, 16 positions k at a time; returns the depth."""
        f, shape = self.f, self.shape
        depth: str = shape.depth
        with f.loop(depth) as k:
            self._emit_tap(k, k)
        skipped = f.op(f"mul i64 {column}, {shape.w_width}")
        with f.loop(blocks) as block, f.loop(depth, step=LANES) as begin:
            strips = f.element(shape.strip_w, "i64", f.op(f"mul i64 {block}, {STRIPS}"))
            self._emit_pack_weights(strips, f.op(f"add i64 {skipped}, {begin}"))
            rest = f.op(f"sub i64 {depth}, {begin}")
            count = f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {LANES}')}, i64 {rest}, i64 {LANES}")
            with f.loop(count) as k:
                self._emit_strip_products(block, f.op(f"add i64 {begin}, {k}"), k)
        return depth

    def _emit_pack_weights(self, strips: str, start: str) -> None:
        """Packs w[strip's row + start + k] of 32 strips and 16 k, as `strip_kernel` says."""
        f, shape = self.f, self.shape
        with f.loop(STRIPS) as strip:
            row = f.op(f"load i64, ptr {f.element(strips, 'i64', strip)}")
            source = f.element("%w", "i32", f.op(f"add i64 {row}, {start}"))
            words = f.op(f"load <{LANES} x i32>, ptr {source}, align 4")
            place = f.offset(shape.gathered, f.op(f"mul i64 {strip}, {PLANE_BYTES}"))
            f.do(f"store <{LANES} x i32> {words}, ptr {place}, align 4")
        emit_pack(self.e, self.settings, shape.gathered, shape.packed_w, shape.w_words, less=0)

    def _emit_strip_products(self, block: str, tap: str, k: str) -> None:
        """The products of a block with weight k of those packed."""
        f, e, shape = self.f, self.e, self.shape
        planes, products = self._packed(block), self._products(tap, block)
        of_position = f.element(shape.packed_w, "i32", k)
        for plane in range(self.settings.fraction + 1):
            bits = e.broadcast(f.op(f"load i32, ptr {f.offset(of_position, plane * PLANE_BYTES)}"))
            for unit in range(e.units):
                place = f.offset(shape.w_planes, plane * PLANE_BYTES + unit * e.vector_bytes)
                f.do(f"store {e.v} {bits}, ptr {place}, align 16")
        f.do(f"call void %gates(ptr {planes}, ptr {shape.w_planes}, ptr {shape.product})")
        x_words = f.offset(planes, X_WORDS_AT)
        w_words = f.element(shape.w_words, "i32", k)
        with f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
            weights = [
                e.broadcast(f.op(f"load i32, ptr {f.offset(w_words, strip * PLANE_BYTES)}")) for strip in range(STRIPS)
            ]
            terms = emit_products(e, self.settings, "normal", shape.product, x_words, weights, None, byte)
            for b, term in enumerate(terms):
                e.store(term, products, b, byte, e.vf)


@lru_cache(maxsize=64)
def window_kernel(
    settings: KernelSettings, vector_bits: int | None = None, *, weight_gates: bool = False, margins: bool = False
) -> Any:
    """The compiled kernel, a ctypes function (see `window_ir`)."""
    assert STRIPS == LIMB  # one bit of a plane's 32-bit elements for each strip
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(window_ir(settings, target, weight_gates=weight_gates, margins=margins), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p)
