"""The whole float multiplier as a netlist against the float semantics, on operands whose products are normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hdl_tools import need, run

from circuits import NAMED, Design, DesignError, FloatFormat, Netlist, design, netlist_from_verilog, to_blif, to_verilog
from circuits.commands import main
from circuits.cost import evaluate
from circuits.engine.bit_planes import pack, unpack
from circuits.floats.float_netlist import float_netlist, random_words, words_of
from circuits.hdl.blif.blif_in import read_blif
from circuits.netlists.simplification import simplify


def values_of(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    """The float32 values of words that encode normal numbers of the format."""
    fraction = words & np.uint64((1 << fmt.fraction_bits) - 1)
    exponent = (words >> np.uint64(fmt.fraction_bits) & np.uint64((1 << fmt.exponent_bits) - 1)).astype(np.int64)
    sign = 1 - 2 * (words >> np.uint64(fmt.fraction_bits + fmt.exponent_bits)).astype(np.float64)
    scale = (exponent - fmt.bias - fmt.fraction_bits).astype(np.int32)
    return (sign * np.ldexp((fraction + np.uint64(1 << fmt.fraction_bits)).astype(np.float64), scale)).astype(
        np.float32
    )


def corner_words(fmt: FloatFormat) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of words with the exponent of 1 and the fractions 0, 1, all ones, alternating and their like."""
    last = (1 << fmt.fraction_bits) - 1
    fractions = sorted({0, 1, last, last - 1, last >> 1, 0x555555 & last, 0x2AAAAA & last, 1 << fmt.fraction_bits - 1})
    words = [fmt.bias << fmt.fraction_bits | fraction for fraction in fractions]
    pairs = np.array(list(product(words, repeat=2)), dtype=np.uint64)
    return pairs[:, 0], pairs[:, 1]


DESIGNS = {
    **NAMED,
    "tiled nearest even": replace(design("axfpm_tiled"), rounding="nearest_even", name=None),
    "bfloat16 nearest even": Design(topology="booth", format="bfloat16", rounding="nearest_even"),
    "fp8": Design(format="fp8_e4m3", rounding="nearest_even"),
    "e5m1": Design(format="e5m1", rounding="nearest_even", topology="wallace"),
    "float16": Design(format="float16", topology="dadda", placement="ama3"),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("simplified", [False, True])
def test_the_netlist_equals_the_float_semantics(name: str, simplified: bool) -> None:
    subject = DESIGNS[name]
    fmt = subject.float_format
    assert fmt is not None
    netlist = float_netlist(subject)
    if simplified:
        netlist = simplify(netlist)
    stream = np.random.default_rng(7)
    mantissas = stream.integers(2**fmt.fraction_bits, 2**fmt.width, (2, 3000), dtype=np.uint64)
    x, w = (
        np.concatenate([random_words(values, fmt.name, stream), corner])
        for values, corner in zip(mantissas, corner_words(fmt), strict=True)
    )
    planes = np.concatenate([pack(x, len(netlist.inputs["x"])), pack(w, len(netlist.inputs["w"]))])
    values = evaluate(netlist, planes)
    fraction, exponent, sign = (unpack(values[list(bus)], x.size) for bus in netlist.outputs.values())
    signed = exponent.astype(np.int64)
    signed = np.where(signed >> (fmt.exponent_bits + 1) & 1, signed - (1 << fmt.exponent_bits + 2), signed)
    significand = (fraction + np.uint64(1 << fmt.fraction_bits)).astype(np.float64)
    products = np.ldexp(significand, (signed - fmt.bias - fmt.fraction_bits).astype(np.int32)) * (1 - 2.0 * sign)
    expected = subject.multiply(values_of(fmt, x), values_of(fmt, w))
    normal = (signed >= 1) & (np.abs(products) <= fmt.largest)
    assert normal.mean() > 0.9
    np.testing.assert_array_equal(products[normal].astype(np.float32), expected[normal])


WHOLE = {name: DESIGNS[name] for name in ("bfloat16", "bfloat16 nearest even", "fp8", "axfpm_tiled", "float16")}


def exported_operands(fmt: FloatFormat, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` random pairs of words whose products are normal, and the pairs of corner words."""
    stream = np.random.default_rng(11)
    mantissas = stream.integers(2**fmt.fraction_bits, 2**fmt.width, (2, count), dtype=np.uint64)
    corners = corner_words(fmt)
    words = [np.concatenate([random_words(values, fmt.name, stream), corners[k]]) for k, values in enumerate(mantissas)]
    return words[0], words[1]


def outputs_of(netlist: Netlist, x: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    """The output words fraction, exponent and sign, uint64 [count] each."""
    planes = np.concatenate([pack(x, len(netlist.inputs["x"])), pack(w, len(netlist.inputs["w"]))])
    values = evaluate(netlist, planes)
    return [unpack(values[list(netlist.outputs[name])], x.size) for name in ("fraction", "exponent", "sign")]


def assert_equals_the_design(subject: Design, x: np.ndarray, w: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
    """Asserts that the output words spell the design's product wherever that is a normal number."""
    fmt = subject.float_format
    assert fmt is not None
    fraction, exponent, sign = (np.asarray(output, dtype=np.uint64) for output in outputs)
    wide = exponent.astype(np.int64)
    wide = np.where(wide >> (fmt.exponent_bits + 1) & 1, wide - (1 << fmt.exponent_bits + 2), wide)
    expected = subject.multiply(values_of(fmt, x), values_of(fmt, w))
    normal = (wide >= 1) & np.isfinite(expected) & (np.abs(expected) >= 2.0**fmt.minimum_exponent)
    assert normal.mean() > 0.9
    word = sign << np.uint64(fmt.width + fmt.exponent_bits - 1) | exponent << np.uint64(fmt.fraction_bits) | fraction
    np.testing.assert_array_equal(values_of(fmt, word[normal]), expected[normal])


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_multiplier_survives_export(name: str) -> None:
    """Read back from Verilog, with every instance, and from BLIF, the circuit gives the design's products."""
    subject = WHOLE[name]
    fmt = subject.float_format
    assert fmt is not None
    verilog = to_verilog(subject, name="dut", whole=True)
    from_verilog = netlist_from_verilog(verilog, where="whole.v", top="dut")
    from_blif, _ = read_blif([("whole.blif", to_blif(subject, whole=True))])
    assert from_verilog.count() == float_netlist(subject).count()
    x, w = exported_operands(fmt, 1000)
    for netlist in (from_verilog, from_blif):
        assert_equals_the_design(subject, x, w, outputs_of(netlist, x, w))


@pytest.mark.parametrize("name", WHOLE)
def test_iverilog_agrees_on_the_whole_multiplier(name: str, tmp_path: Path) -> None:
    subject = WHOLE[name]
    fmt = subject.float_format
    assert fmt is not None
    need("iverilog", "vvp")
    bits = fmt.width + fmt.exponent_bits
    x, w = exported_operands(fmt, 300)
    (tmp_path / "dut.v").write_text(to_verilog(subject, name="dut", whole=True))
    (tmp_path / "pairs.hex").write_text(
        "".join(f"{a << bits | b:x}\n" for a, b in zip(x.tolist(), w.tolist(), strict=True))
    )
    (tmp_path / "bench.v").write_text(
        f"""
        module bench;
            reg [{2 * bits - 1}:0] pairs [0:{x.size - 1}];
            reg [{bits - 1}:0] x, w;
            wire [{fmt.fraction_bits - 1}:0] fraction;
            wire [{fmt.exponent_bits + 1}:0] exponent;
            wire sign;
            integer k;
            dut dut (.x(x), .w(w), .fraction(fraction), .exponent(exponent), .sign(sign));
            initial begin
                $readmemh("pairs.hex", pairs);
                for (k = 0; k < {x.size}; k = k + 1) begin
                    {{x, w}} = pairs[k];
                    #1 $display("%h %h %h", fraction, exponent, sign);
                end
            end
        endmodule
        """
    )
    run("iverilog", "-g2001", "-Wall", "-s", "bench", "-o", "bench", "dut.v", "bench.v", folder=tmp_path)
    lines = run("vvp", "-n", "bench", folder=tmp_path).stdout.split()
    outputs = [np.array([int(word, 16) for word in lines[k::3]], dtype=np.uint64) for k in range(3)]
    assert_equals_the_design(subject, x, w, outputs)


def test_the_command_exports_the_whole_multiplier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instances = len(float_netlist(design("bfloat16")).instances)
    for form, writer in (("verilog", to_verilog), ("blif", to_blif)):
        target = tmp_path / f"whole.{form}"
        assert main(["export", "bfloat16", "--whole", "--format", form, "-o", str(target)]) == 0
        assert capsys.readouterr().out == f"{target}: bfloat16, {instances} cells and gates\n"
        text = target.read_text()
        assert text == writer(design("bfloat16"), whole=True)
        header = " ".join(line.lstrip("/# ") for line in text.splitlines() if line.startswith(("//", "#")))
        assert header.startswith("bfloat16: whole float multiplier")
        assert "exponent (with the bias; 10 bits, two's complement)" in header
        assert "exponent below 1 is an underflow, one above 254 an overflow" in header
    (tmp_path / "integer.toml").write_text(Design(format=None, width=4).to_toml())
    assert main(["export", str(tmp_path / "integer.toml"), "--whole", "-o", str(tmp_path / "no.v")]) == 2
    assert "a whole float multiplier needs a float format" in capsys.readouterr().err
    assert not (tmp_path / "no.v").exists()


def test_random_words_have_normal_products() -> None:
    stream = np.random.default_rng(1)
    for name in ("float32", "bfloat16", "float16", "fp8_e5m2"):
        fmt = Design(format=name).float_format
        assert fmt is not None
        mantissas = stream.integers(2**fmt.fraction_bits, 2**fmt.width, 500, dtype=np.uint64)
        values = values_of(fmt, random_words(mantissas, name, stream)).astype(np.float64)
        products = np.abs(values * values[::-1])
        assert (products >= 2.0**fmt.minimum_exponent).all()
        assert (products <= fmt.largest).all()


def test_operand_pairs_without_a_normal_product_are_left_out() -> None:
    x = np.float32([1.5, 0, 3, np.inf, -2, 1e-45])
    w = np.float32([1, 1, -0.5, 1, 4, 1])
    mantissas, others = words_of(design("bfloat16"), x, w, whole=False)
    assert mantissas.tolist() == [192, 192, 128]
    assert others.tolist() == [128, 128, 128]
    words, _ = words_of(design("exact"), x, w, whole=True)
    assert words.tolist() == np.float32([1.5, 3, -2]).view(np.uint32).tolist()
    with pytest.raises(DesignError, match="at least 2 operand pairs must be finite and not zero, but 0 of 3 are"):
        words_of(design("exact"), np.zeros(3), np.ones(3), whole=True)


def test_integer_designs_have_no_float_netlist() -> None:
    with pytest.raises(DesignError, match="needs a float format, but got format=None; choose one"):
        float_netlist(Design(format=None, width=8))
