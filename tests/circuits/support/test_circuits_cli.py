"""`python -m circuits`: what its commands print in every format, and how they refuse mistakes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from circuits_commands import refuse, run

from circuits import CELLS, NAMED, Design, Estimate, FloatFormat, cost_report, design, error_metrics, trace_product
from circuits.commands import main
from circuits.commands.error_table import format_estimate, format_rate
from circuits.floats.arithmetic import bit_pattern, float_format

ROOT = Path(__file__).parents[3]
NOTE = "45 nm, 1 V, 25 C, nom, ngspice-39 of "
HEAP = "heap (reconstructed)"
FEW = ("--samples", "20000", "--cost-samples", "256")


def test_show_prints_definition_errors_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", "exact", "axfpm", "axfpm_tiled", *FEW)
    assert max(map(len, out.splitlines())) <= 100
    definition, rest = out.split("error metrics")
    errors, cost = rest.split("cost at 45 nm", 1)
    for word in ("topology", "ripple_array", "ports (A,B,Cin)", "tile", "4 x 4", "rounding", "nearest_even", "digest"):
        assert word in definition
    for word in ("P_max of NMED", "MRED, mean of ratios", "MRED, ratio of means", "±", "error rate", "seed 0"):
        assert word in errors
    assert f"Mantissa multiplier only, {NOTE}" in " ".join(cost.split())
    words = ("as drawn", "simplified", "area, um^2", "energy, fJ", "delay, ps", "leakage, nW", "energy / exact")
    for word in (*words, "delay / own topology", "zero-delay activity, no glitches", "wires are not counted"):
        assert word in " ".join(cost.split())
    assert "estimated" not in cost
    m = error_metrics(design("axfpm"), samples=20000)
    assert format_estimate(m.nmed) in errors


def test_show_wraps_at_most_four_designs_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", *["axfpm"] * 5, *FEW)
    assert out.count("error metrics") == 2
    assert max(map(len, out.splitlines())) <= 100


def test_show_as_json_equals_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", "heap", "bfloat16", "--format", "json", "--seed", "3", *FEW)
    records = json.loads(out)["designs"]
    assert [record["design"] for record in records] == [HEAP, "bfloat16"]
    for record, entry in zip(records, (design("heap"), design("bfloat16")), strict=True):
        assert record["definition"] == {**entry.describe(), "digest": entry.digest}
        expected = error_metrics(entry, samples=20000, seed=3).to_dict()
        assert record["errors"] == json.loads(json.dumps(expected))
        assert record["cost"] == json.loads(json.dumps(cost_report(entry, samples=256, seed=3).to_dict()))
        assert record["cost"]["note"].startswith(NOTE)
        assert record["cost"]["units"]["energy"] == "fJ"


def test_show_as_csv_is_tidy(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run(capsys, "show", "heap", "axfpm", "--format", "csv", *FEW))))
    assert {row["design"] for row in rows} == {HEAP, "axfpm"}
    assert all(row["note"].startswith(NOTE) for row in rows if row["group"].startswith("cost"))
    units = {row["quantity"]: row["unit"] for row in rows if row["group"] == "cost drawn"}
    assert [units[name] for name in ("area", "energy", "delay", "leakage")] == ["um^2", "fJ", "ps", "nW"]
    (nmed,) = [row for row in rows if (row["design"], row["quantity"]) == ("axfpm", "nmed")]
    m = error_metrics(design("axfpm"), samples=20000).nmed
    assert (float(nmed["value"]), float(nmed["low"]), float(nmed["high"])) == (m.value, m.low, m.high)
    assert any(row["quantity"] == "topology" for row in rows)


def test_show_an_integer_design_from_toml_with_own_cells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cells, entry = tmp_path / "cells.toml", tmp_path / "mine.toml"
    cells.write_text('[cells.mine]\nsum = "A ^ B"\ncarry = "C"\nsource = "[bold]not markup[/bold] :smile:"\n', "utf-8")
    entry.write_text('[design]\nplacement = "mine"\nformat = "integer"\nwidth = [4, 5]\nname = "my own"\n', "utf-8")
    out = run(capsys, "show", str(entry), "mine_array", "--cells", str(cells), *FEW)
    assert "my own" in out
    assert "exhaustive" in out
    assert "~: cost partly estimated, not characterised, for mine." in out
    assert "~mine_array" in out
    as_csv = run(capsys, "show", str(entry), "--cells", str(cells), "--format", "csv", *FEW)
    assert "estimates for mine" in as_csv
    listed = json.loads(run(capsys, "cells", "--cells", str(cells), "--format", "json"))["cells"]
    assert [row["name"] for row in listed if row["estimated"]] == ["mine"]
    listed = run(capsys, "cells", "--cells", str(cells))
    assert "[bold]not markup[/bold] :smile:" in listed
    assert run(capsys, "multiply", str(entry), "3", "0x1f", "--cells", str(cells)).strip().isdigit()


def test_cells_lists_the_library_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "cells")
    assert max(map(len, out.splitlines())) <= 100
    for name, cell in CELLS.items():
        assert f"{name:7}{cell.sum}  {cell.carry}" in out
    listed = json.loads(run(capsys, "cells", "--format", "json"))
    assert listed["rows"][3] == "011"
    ama5 = next(cell for cell in listed["cells"] if cell["name"] == "ama5")
    assert ama5["errors"] == [0, -1, 0, -1, 1, 0, 1, 0]
    assert (ama5["wrong_sum"], ama5["wrong_carry"], ama5["transistors"]) == (4, 2, 8)
    assert ama5["transistors_estimated"] is False
    rows = list(csv.DictReader(io.StringIO(run(capsys, "cells", "--format", "csv"))))
    assert [row["name"] for row in rows] == list(CELLS)


@pytest.mark.slow
def test_show_the_whole_multiplier_with_glitches(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--whole", "--glitches", "arc_delay", "--samples", "1000", "--cost-samples", "20")
    out = " ".join(run(capsys, "show", "bfloat16", *options).split())
    assert f"Whole float multiplier, {NOTE}" in out
    assert "arc-delay activity, glitches included, 20 operands" in out
    refused = refuse(capsys, "show", "bfloat16", "--glitches", "some")
    assert refused.startswith("error: argument --glitches: invalid choice: 'some'")


@pytest.mark.slow
def test_timing_prints_the_path_and_what_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "timing", "axfpm")
    assert max(map(len, out.splitlines())) <= 100
    assert out.startswith("axfpm, mantissa multiplier, as drawn: ")
    assert out.count("ama5") == 23
    assert "b -> sum" in out
    words = " ".join(out.split())
    assert "Proved: no true path is longer than these 344.4 ps." in words
    assert "The longest path of the graph, true or not: 344.4 ps." in words
    budget = " ".join(run(capsys, "timing", "exact").split())
    assert re.search(
        r"A true path of [0-9.]+ ps; proved: none is longer than [0-9.]+ ps \(--effort 2 searches on\)", budget
    )
    refused = refuse(capsys, "timing", "exact", "--effort", "0")
    assert refused.startswith("error: argument --effort:")
    found = json.loads(run(capsys, "timing", "axfpm", "--whole", "--corner", "ss", "--format", "json"))
    assert found["path"][-1]["arrival_ps"] == pytest.approx(found["delay_ps"], abs=0.01)
    total = sum(step["delay_ps"] for step in found["path"])
    assert total == pytest.approx(found["delay_ps"], abs=0.01 * len(found["path"]))
    rows = list(csv.DictReader(io.StringIO(run(capsys, "timing", "heap", "--simplified", "--format", "csv"))))
    structural = cost_report(design("heap")).simplified.delay
    assert float(rows[-1]["arrival_ps"]) <= structural + 0.1


def test_timing_marks_estimates(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cells = tmp_path / "cells.toml"
    cells.write_text('[cells.mine]\nsum = "A ^ B"\ncarry = "C"\n', "utf-8")
    out = run(capsys, "timing", "mine_array", "--cells", str(cells))
    assert "~mine" in out
    assert "~: estimated, not characterised: mine." in out


def test_designs_lists_names_and_digests_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "designs")
    assert max(map(len, out.splitlines())) <= 100
    assert HEAP in out
    listed = json.loads(run(capsys, "designs", "--format", "json"))["designs"]
    assert [entry["name"] for entry in listed] == list(NAMED)
    assert all(entry["digest"] == design(entry["name"]).digest for entry in listed)
    assert "digest" in run(capsys, "designs", "--format", "csv").splitlines()[0]


def test_multiply_prints_the_product(capsys: pytest.CaptureFixture[str]) -> None:
    """FACTS 2: 0.856 * 0.471 -> 0.42608058."""
    assert run(capsys, "multiply", "axfpm_tiled", "0.856", "0.471") == "0.42608058\n"
    assert run(capsys, "multiply", "exact", "-1.5", "2") == "-3.0\n"
    assert run(capsys, "multiply", "exact", "nan", "1") == "nan\n"
    assert run(capsys, "multiply", "exact", "-inf", "1e50") == "-inf\n"
    assert run(capsys, "multiply", "exact", "-1e2", "-.5") == "50.0\n"
    assert json.loads(run(capsys, "multiply", "exact", "inf", "1", "--format", "json"))["result"] == "inf"


def test_multiply_shows_every_step_of_the_published_product(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "multiply", "axfpm_tiled", "0.856", "0.471", "--trace")
    assert max(map(len, out.splitlines())) <= 100
    x, y = 14361297, 15804137  # 0.856 and 0.471 as 24-bit mantissas, exponents 2^-1 and 2^-2
    assert x / 2**24 == np.float32(0.856)
    assert y / 2**25 == np.float32(0.471)
    product = (x & 0x111111) * y + 2 * (x & 0xEEEEEE) * (y & 0x888888)  # FACTS 2
    assert f"product {product:049b}  {product}" in out
    assert f"exact {x * y:049b}  {x * y}" in out
    assert f"{x:b}"[:1] + "." + f"{x:b}"[1:] in out
    assert "normalise shift right by 1, exponent +1: 2^-2" in out
    assert f"rounding  truncate: fraction {f'{product:b}'[1:24]}, below it {f'{product:b}'[24:]}" in out
    assert "result    0.42608058" in out
    assert out.count(f"{y:024b}") == x.bit_count()  # the partial product rows of the set bits of x


def test_a_trace_says_that_special_values_never_reach_the_circuit(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "multiply", "exact", "0", "-3", "--trace")
    assert "never reaches the circuit" in out
    assert "result    -0.0" in out
    data = json.loads(run(capsys, "multiply", "exact", "inf", "0", "--trace", "--format", "json"))
    assert data["product"] is None
    assert data["result"] == "nan"


@pytest.mark.parametrize("name", NAMED)
def test_the_steps_of_a_trace_lead_to_the_result(name: str) -> None:
    """Fraction, rounding and exponent as shown give the design's own result."""
    entry = design(name)
    fmt = entry.float_format
    assert fmt is not None
    rng = np.random.default_rng(0)
    for x, w in rng.uniform(-4, 4, (40, 2)).astype(np.float32):
        trace = trace_product(entry, x, w)
        assert trace.exponent is not None
        assert len(trace.fraction) == fmt.fraction_bits
        fraction = int(trace.fraction, 2)
        if trace.rounding == "nearest_even":
            half = 1 << (len(trace.dropped) - 1)
            rest = int(trace.dropped, 2)
            fraction += rest > half or (rest == half and fraction & 1)
        value = (1 + fraction / 2**fmt.fraction_bits) * 2.0**trace.exponent
        assert abs(float(trace.result)) == value
        assert trace.error == float(trace.result) - float(x) * float(w)
        if trace.rows:
            left, right = (operand.mantissa or 0 for operand in trace.operands)
            assert sum(int(row, 2) << i for i, row in enumerate(trace.rows)) == left * right


def codes(fmt: FloatFormat) -> Iterator[tuple[str, np.float32]]:
    """Every code of a format with its value, by the formula of IEEE 754 and OCP."""
    for sign, exponent, fraction in product(range(2), range(2**fmt.exponent_bits), range(2**fmt.fraction_bits)):
        text = f"{sign} {exponent:0{fmt.exponent_bits}b} {fraction:0{fmt.fraction_bits}b}"
        scaled = fraction / 2**fmt.fraction_bits
        last = exponent == 2**fmt.exponent_bits - 1
        if last and (fmt.infinity or fraction == 2**fmt.fraction_bits - 1):
            if fmt.infinity and fraction == 0:
                yield text, np.float32((-1) ** sign * np.inf)
            continue
        magnitude = scaled * 2.0 ** (1 - fmt.bias) if exponent == 0 else (1 + scaled) * 2.0 ** (exponent - fmt.bias)
        yield text, np.copysign(np.float32(magnitude), np.float32(-1 if sign else 1))


@pytest.mark.parametrize("name", ["float16", "fp8_e5m2", "fp8_e4m3", "e3m4", "e6m2"])
def test_bit_patterns_are_the_codes_of_the_format(name: str) -> None:
    fmt = float_format(name)
    for text, value in codes(fmt):
        assert bit_pattern(fmt, value) == text
    if name == "float16":
        for word in np.random.default_rng(0).integers(0, 2**16, 2000, dtype=np.uint16):
            value = word.view(np.float16)
            if not np.isnan(value):
                assert bit_pattern(fmt, np.float32(value)).replace(" ", "") == f"{word:016b}"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("float16", "11111 1000000000"),  # IEEE 754, 6.2.1: quiet NaNs have the fraction's first bit set
        ("fp8_e5m2", "11111 10"),
        ("fp8_e4m3", "1111 111"),  # OCP 8-bit floating point, table 1: the only NaN
    ],
)
def test_the_bit_pattern_of_nan_is_the_quiet_one(name: str, code: str) -> None:
    for sign in (0, 1):
        value = np.copysign(np.float32(np.nan), np.float32(-1 if sign else 1))
        assert bit_pattern(float_format(name), value) == f"{sign} {code}"


@pytest.mark.parametrize("name", ["float32", "tf32", "bfloat16"])
def test_bit_patterns_of_formats_with_the_exponent_of_float32_are_its_upper_bits(name: str) -> None:
    fmt = float_format(name)
    words = np.random.default_rng(1).integers(0, 2**32, 2000, dtype=np.uint32) >> 23 - fmt.fraction_bits
    words = (words << 23 - fmt.fraction_bits).astype(np.uint32)
    for word in [*words, np.uint32(0), np.uint32(0x7FC00000), np.uint32(0xFF800000)]:
        value = word.view(np.float32)
        if not np.isnan(value) or word == 0x7FC00000:
            assert bit_pattern(fmt, value).replace(" ", "") == f"{word:032b}"[: 9 + fmt.fraction_bits]


@pytest.mark.parametrize(
    ("fmt", "bits"),
    [
        ("float16", "0 10000 1110000000"),
        ("bfloat16", "0 10000000 1110000"),
        ("fp8_e4m3", "0 1000 111"),
        ("fp8_e5m2", "0 10000 11"),
        ("float32", "0 10000000 11100000000000000000000"),
    ],
)
def test_a_trace_prints_the_bits_of_its_own_format(
    fmt: str, bits: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """1.5 * 2.5 = 3.75 = 1.875 * 2^1; fp8_e5m2 truncates it to 3.5."""
    path = tmp_path / "narrow.toml"
    path.write_text(Design(format=fmt).to_toml(), encoding="utf-8")
    out = run(capsys, "multiply", str(path), "1.5", "2.5", "--trace")
    assert out.splitlines()[-2].endswith(f"  = {bits}")
    assert (
        json.loads(run(capsys, "multiply", str(path), "1.5", "2.5", "--trace", "--format", "json"))["result_bits"]
        == bits
    )


def test_integer_designs_show_no_float_rules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "integers.toml"
    path.write_text(Design(format=None, width=4, name="four").to_toml(), encoding="utf-8")
    rules = ("rounding", "normalization", "subnormals")
    assert not set(rules) & set(Design.load(path).describe())
    for arguments in (
        ("show", str(path), "--cost-samples", "8"),
        ("multiply", str(path), "3", "5", "--trace"),
        ("export", str(path)),
    ):
        out = run(capsys, *arguments)
        assert not any(rule in out for rule in rules), arguments
    data = json.loads(run(capsys, "multiply", str(path), "3", "5", "--trace", "--format", "json"))
    assert (data["rounding"], data["result_bits"]) == (None, None)
    for pair in ([str(path), "exact"], ["exact", str(path)]):
        lines = run(capsys, "show", *pair, "--cost-samples", "8", "--samples", "1000").splitlines()
        words = next(line.split() for line in lines if line.startswith("rounding"))
        assert words == ["rounding", *(("none", "nearest_even") if pair[1] == "exact" else ("nearest_even", "none"))]


def test_traces_of_integer_and_signed_designs_lead_to_their_products(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    entry = Design(format=None, width=(4, 4), truncate_columns=3, name="cut")
    trace = trace_product(entry, 13, 11)
    assert trace.rows[0].endswith("---")
    assert trace.result == sum(
        ((13 >> i & 1) & (11 >> j & 1)) << (i + j) for i in range(4) for j in range(4) if i + j > 2
    )
    path = tmp_path / "signed.toml"
    path.write_text(Design(format=None, width=4, signed=True).to_toml(), encoding="utf-8")
    assert run(capsys, "multiply", str(path), "-8", "-8") == "64\n"
    assert "result    -56" in run(capsys, "multiply", str(path), "-8", "7", "--trace")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "axfpn"), "error: unknown design 'axfpn'; nearest: axfpm"),
        (
            ("show", "no.toml"),
            "error: no.toml must be a readable file, but: No such file or directory; check the path.",
        ),
        (("show", "axfpm", "--samples", "1"), "error: argument --samples: it must be an integer from 2 to"),
        (("show", "axfpm", "--seed", "x"), "error: argument --seed: it must be an integer of at least 0, but got 'x'"),
        (("show", "axfpm", "--distribution", "u"), "error: argument --distribution: invalid choice: 'u'"),
        (("show",), "error: the following arguments are required: DESIGN; see python -m circuits show --help"),
        (("show", "axfpm", "--sample", "5"), "error: unrecognized arguments: --sample 5"),
        (("show", "axfpm", "--method", "exhaustive"), "error: method='exhaustive' needs an integer design, but got"),
        (("nothing",), "error: argument COMMAND: invalid choice: 'nothing' (choose from "),
        ((), "error: the following arguments are required: COMMAND; see python -m circuits --help"),
        (
            ("cells", "--cells", "none.toml"),
            "error: none.toml must be a readable file, but: No such file or directory;",
        ),
        (("multiply", "axfpm", "one", "2"), "error: X must be a number, but got 'one'; correct it."),
        (("multiply", "axfpm", "1"), "error: the following arguments are required: W; see python -m circuits multiply"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert refuse(capsys, *arguments).startswith(message)


def test_integer_operands_out_of_range_are_refused_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "i.toml"
    path.write_text(Design(format=None, width=4).to_toml(), encoding="utf-8")
    assert (
        refuse(capsys, "multiply", str(path), "16", "1")
        == "error: 0 <= x < 2^4 must hold, but got 16; mask the operand."
    )
    assert (
        refuse(capsys, "multiply", str(path), "1.5", "1") == "error: X must be an integer, but got '1.5'; correct it."
    )
    huge = str(2**70)
    assert refuse(capsys, "multiply", str(path), huge, "1").startswith("error: 0 <= x < 2^4 must hold, but got 118")


def test_a_toml_cell_error_names_the_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "cells.toml"
    path.write_text('\n\n[cells.bad]\nsum = "01"\ncarry = "A"\n', encoding="utf-8")
    assert refuse(capsys, "cells", "--cells", str(path)) == (
        f"error: [cells.bad] in {path} line 3: sum of cell 'bad' must be 8 characters 0 or 1 for rows A B Cin = "
        "000..111, but got '01'; correct the truth table."
    )


@pytest.mark.parametrize("command", ["show", "metrics", "cells", "designs", "multiply"])
def test_help_of_commands_names_formats_and_defaults(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--format" in out
    for option, default in {"show": {"--samples": "1000000", "--seed": "0", "--distribution": "uniform01"}}.get(
        command, {}
    ).items():
        assert option in out
        assert f"(default: {default})" in out


def test_the_module_exits_with_2_on_a_mistake_and_survives_a_closed_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "circuits", "multiply", "axfpm", "x", "1"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: X must be a number, but got 'x'; correct it.\n"
    process = subprocess.Popen(
        [sys.executable, "-m", "circuits", "cells", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.386302, 0.385754, 0.386850), "0.38630 ±0.00055"),
        (Estimate(5.353e-9, 5.341e-9, 5.365e-9), "5.353e-09 ±1.2e-11"),
        (Estimate(0.0, -1.6e-11, 1.6e-11), "0e+00 ±1.6e-11"),
        (Estimate(1234.5, 1200.0, 1269.0), "1234 ±34"),
        (Estimate(0.125, 0.125, 0.125), "0.125"),
        (Estimate(float("nan"), float("nan"), float("nan")), "nan"),
    ],
)
def test_estimates_print_as_far_as_they_carry(estimate: Estimate, text: str) -> None:
    assert format_estimate(estimate) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Estimate(0.957321, 0.956923, 0.957715), "95.732 % ±0.040"),
        (Estimate(1.0, 0.99999616, 1.0), "100 % (>99.9996)"),
        (Estimate(0.0, 0.0, 3.8e-6), "0 % (<0.00038)"),
        (Estimate(0.25, 0.25, 0.25), "25 %"),
    ],
)
def test_rates_print_in_percent(rate: Estimate, text: str) -> None:
    assert format_rate(rate) == text
