"""The backends: reference against a scalar evaluation; compiled (all vector widths) and interpreted against it."""

from __future__ import annotations

import os
import platform
import re
import stat
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from random_netlists import evaluate_row, random_netlist

from circuits import NAMED, Design, DesignError, UnknownNameError, design, engine, simulate
from circuits.engine import integer_operations
from circuits.engine.bit_planes import pack, unpack
from circuits.engine.llvm import jit, schedule, wide_matmul_kernel
from circuits.engine.llvm.float_parts import KernelSettings
from circuits.engine.llvm.gates_function import compile_program, gates_ir
from circuits.engine.llvm.integers import integer_kernel
from circuits.engine.llvm.minimal_forms import shortest_form
from circuits.netlists.lut_program import Program, lower, restrict
from circuits.support import processor

ROOT = Path(__file__).parents[3]


def run_compiled(program: Program, planes: np.ndarray, **options: int) -> np.ndarray:
    """The compiled program's results for planes of any number of words; `options` are those of compile_program."""
    words = planes.shape[1]
    padded = np.zeros((len(planes), -(-words // 8) * 8), dtype=np.uint64)
    padded[:, :words] = planes
    blocks = np.ascontiguousarray(padded.reshape(len(planes), -1, 8).swapaxes(0, 1))
    result = compile_program(program, **options).simulate(blocks)
    return result.swapaxes(0, 1).reshape(len(program.results), -1)[:, :words]


def vector_widths() -> list[int]:
    return [bits for bits in (128, 256, 512) if bits <= jit.Target.host().vector_bits]


def test_reference_equals_a_scalar_evaluation_on_random_netlists() -> None:
    for seed in range(60):
        netlist = random_netlist(seed)
        inputs = netlist.input_nets
        rows = np.arange(2 ** len(inputs), dtype=np.uint64)[:64]
        got = unpack(simulate(lower(netlist), pack(rows, len(inputs)), "reference"), len(rows))
        for row, value in zip(rows.tolist(), got.tolist(), strict=True):
            bits = evaluate_row(netlist, {net: row >> k & 1 for k, net in enumerate(inputs)})
            assert value == sum(bit << k for k, bit in enumerate(bits)), (seed, row)


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 200), marks=pytest.mark.slow)], ids=lambda seeds: f"{len(seeds)} seeds"
)
def test_backends_agree_on_random_netlists(seeds: range) -> None:
    rng = np.random.default_rng(seeds.start)
    for seed in seeds:
        program = lower(random_netlist(seed))
        planes = rng.integers(0, 2**64, (program.input_count, 3), dtype=np.uint64)
        expected = simulate(program, planes, "reference")
        np.testing.assert_array_equal(simulate(program, planes), expected)
        np.testing.assert_array_equal(simulate(program, planes, "interpreted"), expected)
        bits = vector_widths()[seed % len(vector_widths())]
        np.testing.assert_array_equal(run_compiled(program, planes, vector_bits=bits), expected)


@pytest.mark.parametrize("name", NAMED)
def test_backends_agree_on_every_named_design(name: str) -> None:
    program = design(name).program()
    planes = np.random.default_rng(7).integers(0, 2**64, (program.input_count, 9), dtype=np.uint64)
    expected = simulate(program, planes, "reference")
    np.testing.assert_array_equal(simulate(program, planes, "interpreted"), expected)
    for bits in vector_widths():
        np.testing.assert_array_equal(run_compiled(program, planes, vector_bits=bits), expected)


def test_every_three_input_function_is_computed_at_every_vector_width() -> None:
    """All 256 truth tables: the and/or/xor forms, vpternlog, and the interpreted backend's special cases."""
    planes = pack(np.arange(8, dtype=np.uint64), 3)[::-1].copy()
    count = 256
    program = Program(
        {"abc": 3},
        {"y": count},
        np.arange(count, dtype=np.uint8),
        np.tile(np.arange(3, dtype=np.int32), (count, 1)),
        np.arange(3, 3 + count, dtype=np.int32),
        np.full((count, 2), -1, dtype=np.int32),
    )
    values = simulate(program, planes, "interpreted")[:, 0] & np.uint64(0xFF)
    np.testing.assert_array_equal(values, np.arange(count))
    for bits in vector_widths():
        values = run_compiled(program, planes, vector_bits=bits)[:, 0] & np.uint64(0xFF)
        np.testing.assert_array_equal(values, np.arange(count))


def test_shortest_forms_need_no_more_operators_than_the_field_knows() -> None:
    def operators(form: object) -> int:
        return 0 if isinstance(form, int) else 1 + sum(operators(part) for part in form[1:] if part is not None)

    assert operators(shortest_form(0b10010110)) == 2  # a ^ b ^ c
    assert operators(shortest_form(0b11101000)) == 4  # majority
    assert operators(shortest_form(0b11001010)) == 3  # multiplexer


def test_the_skewed_schedule_is_a_topological_permutation() -> None:
    for entry in (design("exact"), design("heap"), Design(tile=4, placement="ama3")):
        program = entry.program()
        for rows in (1, 5, 24):
            order = schedule.skewed(program, rows)
            assert sorted(order.tolist()) == list(range(len(program)))
            done = set(range(program.input_count))
            for k in order.tolist():
                assert done.issuperset(program.operands[k].tolist())
                done.add(program.input_count + k)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="reads x86 assembly")
@pytest.mark.parametrize(
    ("target", "register"),
    [
        (jit.Target("skylake-avx512", "", 512), "zmm"),
        (jit.Target("haswell", "", 256), "ymm"),
    ],
)
@pytest.mark.parametrize("kind", ["gates", "matrix product", "integer product"])
def test_vectors_are_spilled_to_an_aligned_stack(target: jit.Target, register: str, kind: str) -> None:
    """FACTS 9: 64-byte spills to a stack aligned to 16 bytes make the speed a matter of the process's addresses."""
    program = design("axfpm_tiled").program()
    if kind == "gates":
        ir = gates_ir(program, target, schedule.skewed(program, schedule.BLOCK_ROWS))
    elif kind == "integer product":
        ir = integer_kernel.integer_ir((8, 8), 16, target)
    else:
        settings = KernelSettings(48, 0, "nearest_even", released=False)
        ir = wide_matmul_kernel.matmul_ir(settings, target, "normal")
    assembly = assembly_of(ir, target)
    for name in re.findall(r"define void @(\w+)", ir):
        body = assembly[assembly.index(f"\n{name}:") :].split(".cfi_endproc")[0]
        to_stack = re.findall(rf"\b(vmov\w+)\s+%{register}\d+, -?\d*\(%r[sb]p\)", body)
        if kind == "gates" and name == "gates":
            assert len(to_stack) > 50
        if to_stack:
            assert f"andq\t$-{target.vector_bits // 8}, %rsp" in body
            assert {move for move in to_stack if not move.startswith(("vmovaps", "vmovdqa", "vmovapd"))} == set()


def assembly_of(ir: str, target: jit.Target) -> str:
    jit._initialise()
    return str(jit._machine(target).emit_assembly(llvm.parse_assembly(ir)))


def test_restrict_keeps_the_upper_bits() -> None:
    program = design("heap").program()
    planes = np.random.default_rng(1).integers(0, 2**64, (48, 2), dtype=np.uint64)
    upper = restrict(program, "product", 23)
    assert len(upper) < len(program)
    np.testing.assert_array_equal(simulate(upper, planes, "reference"), simulate(program, planes, "reference")[23:])


def test_unpacked_planes_are_the_packed_numbers() -> None:
    rng = np.random.default_rng(2)
    for width in (1, 7, 24, 64):
        for count in (0, 1, 63, 64, 65, 1000):
            values = rng.integers(0, 2**width, count, dtype=np.uint64, endpoint=False)
            np.testing.assert_array_equal(unpack(pack(values, width), count), values)


INTEGER_DESIGNS = [
    Design(topology="carry_save_array", format=None, width=24, placement="ama4"),
    Design(topology="dadda", format=None, width=(40, 33), signed=True, placement="ama1"),
    Design(topology="booth", format=None, width=(7, 64)),
    Design(format=None, width=(8, 6), tile=2, placement="ama5"),
    Design(topology="wallace", format=None, width=32, signed=True),
]


@pytest.mark.parametrize("entry", INTEGER_DESIGNS, ids=lambda entry: f"{entry.topology} {entry.shape}")
@pytest.mark.parametrize("count", [1, 511, 1500])
def test_integer_products_do_not_depend_on_the_backend(entry: Design, count: int) -> None:
    rng = np.random.default_rng(count)
    low = [-(2 ** (n - 1)) if entry.signed else 0 for n in entry.shape]
    dtype = np.int64 if entry.signed else np.uint64
    x, y = (
        rng.integers(first, first + 2**n - 1, count, dtype=dtype, endpoint=True)
        for first, n in zip(low, entry.shape, strict=True)
    )
    expected, *others = [entry.multiply_integers(x, y, backend=name) for name in (*engine.BACKENDS, "auto")]
    for products in others:
        assert products.dtype == expected.dtype
        np.testing.assert_array_equal(products, expected)


def test_auto_interprets_long_programs_that_have_little_to_do() -> None:
    """Metrics also interpret short programs."""
    short, long = design("heap").program(), Design(format=None, width=64).program()
    assert integer_operations.choose_backend("auto", short, 10**5) == "compiled"
    assert integer_operations.choose_backend("auto", short, 10**5, otherwise="interpreted") == "interpreted"
    assert integer_operations.choose_backend("auto", short, 10**8, otherwise="interpreted") == "compiled"
    assert integer_operations.choose_backend("auto", long, 10**5) == "interpreted"
    assert integer_operations.choose_backend("auto", long, 10**6) == "compiled"
    assert integer_operations.choose_backend("reference", long, 10**9) == "reference"


def test_the_engine_imports_no_designs() -> None:
    for path in (ROOT / "circuits" / "engine").rglob("*.py"):
        assert "circuits.designs" not in path.read_text(encoding="utf-8"), path


def test_an_unknown_backend_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as error:
        simulate(design("exact").program(), np.zeros((48, 1), dtype=np.uint64), "compild")
    assert str(error.value) == "unknown backend 'compild'; nearest: compiled."


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "objects"
    monkeypatch.setattr(jit, "cache_folder", lambda: folder)
    return folder


IR = "define void @f(ptr %p) {\n  store i32 7, ptr %p\n  ret void\n}\n"


def call(library: jit.Library) -> int:
    value = np.zeros(1, dtype=np.int32)
    library.function("f", jit.ctypes.c_void_p)(value.ctypes.data)
    return int(value[0])


def test_object_cache_is_private_and_verified(cache: Path) -> None:
    target = jit.Target.host()
    assert call(jit.load(IR, target)) == 7
    (file,) = cache.glob("*.o")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert call(jit.load(IR, target)) == 7

    good = file.read_bytes()
    for bad in (good[:-1], good[: len(good) // 2], b"", good[:-1] + bytes([good[-1] ^ 1])):
        file.write_bytes(bad)
        assert call(jit.load(IR, target)) == 7  # compiled anew ...
        assert file.read_bytes() == good  # ... and stored again


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes exist on POSIX systems only")
def test_object_cache_that_others_can_write_is_not_used(cache: Path) -> None:
    cache.mkdir(mode=0o700)
    cache.chmod(0o777)
    assert call(jit.load(IR, jit.Target.host())) == 7
    assert not list(cache.iterdir())


@pytest.mark.slow
def test_concurrent_writers_share_the_object_cache(tmp_path: Path) -> None:
    code = (
        "import sys, ctypes, numpy as np; from pathlib import Path; from circuits.engine.llvm import jit;"
        "jit.cache_folder = lambda: Path(sys.argv[1]);"
        "value = np.zeros(1, np.int32);"
        "jit.load(sys.argv[2], jit.Target.host()).function('f', ctypes.c_void_p)(value.ctypes.data);"
        "print(value[0])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "objects"), IR], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(6)
    ]
    assert [writer.communicate()[0].split() for writer in writers] == [[b"7"]] * 6
    assert [file.suffix for file in (tmp_path / "objects").iterdir()] == [".o"]


def test_the_environment_chooses_the_vector_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = list(processor.VECTOR_BITS)
    highest = jit.Target.host().level
    for level, bits in processor.VECTOR_BITS.items():
        monkeypatch.setenv(processor.VARIABLE, level)
        if levels.index(level) <= levels.index(highest):
            assert (jit.Target.host().level, jit.Target.host().vector_bits) == (level, bits)
            assert jit.Target.host(128).vector_bits == 128  # what a caller asks for comes first
        else:
            with pytest.raises(DesignError, match=r"^APPROX_CPU_FEATURES must ask for at most .*; choose a lower"):
                jit.Target.host()
    monkeypatch.setenv(processor.VARIABLE, "mmx")
    with pytest.raises(DesignError, match=r"^unknown value of APPROX_CPU_FEATURES 'mmx'; available: "):
        jit.Target.host()


def test_results_do_not_depend_on_the_vector_instructions() -> None:
    code = (
        "import hashlib, sys; import numpy as np; from circuits import design, matmul;"
        "from circuits.engine.llvm import jit;"
        "x = np.random.default_rng(1).standard_normal((700, 30)).astype('f4'); w = x[:30, :9].copy();"
        "print(jit.Target.host().level, hashlib.sha256(matmul(design('heap'), x, w).tobytes()).hexdigest())"
    )
    levels, digests = [], set()
    for level in processor.VECTOR_BITS:
        environment = {**os.environ, processor.VARIABLE: level}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
        if done.returncode == 0:
            used, digest = done.stdout.split()
            levels.append(used)
            digests.add(digest)
        else:
            assert "choose a lower level" in done.stderr
    known = list(processor.VECTOR_BITS)
    assert levels == known[: known.index(jit.Target.host().level) + 1]
    assert len(digests) == 1
