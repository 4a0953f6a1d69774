"""The whole float multiplier as a netlist against the float semantics, on operands whose products are normal."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from circuits import NAMED, Design, DesignError, design
from circuits.engine.planes import pack, unpack
from circuits.float_netlist import float_netlist, random_words, words_of
from circuits.floats import FloatFormat
from circuits.simplify import simplify
from circuits.technology import evaluate


def values_of(fmt: FloatFormat, words: np.ndarray) -> np.ndarray:
    fraction = words & np.uint64((1 << fmt.fraction_bits) - 1)
    exponent = (words >> np.uint64(fmt.fraction_bits) & np.uint64((1 << fmt.exponent_bits) - 1)).astype(np.int64)
    sign = 1 - 2 * (words >> np.uint64(fmt.fraction_bits + fmt.exponent_bits)).astype(np.float64)
    scale = (exponent - fmt.bias - fmt.fraction_bits).astype(np.int32)
    return (sign * np.ldexp((fraction + np.uint64(1 << fmt.fraction_bits)).astype(np.float64), scale)).astype(
        np.float32
    )


def corner_words(fmt: FloatFormat) -> tuple[np.ndarray, np.ndarray]:
    """Fractions 0, 1, all ones, alternating ...; the exponents of one."""
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
def test_equals_the_float_semantics(name: str, simplified: bool) -> None:
    subject = DESIGNS[name]
    fmt = subject.float_format
    assert fmt is not None
    netlist = float_netlist(subject)
    if simplified:
        netlist = simplify(netlist)
    stream = np.random.default_rng(7)
    mantissas = stream.integers(2**fmt.fraction_bits, 2**fmt.width, (2, 3000), dtype=np.uint64)
    x, w = (
        np.concatenate([random_words(part, fmt.name, stream), corner])
        for part, corner in zip(mantissas, corner_words(fmt), strict=True)
    )
    planes = np.concatenate([pack(x, len(netlist.inputs["x"])), pack(w, len(netlist.inputs["w"]))])
    values = evaluate(netlist, planes)
    fraction, exponent, sign = (unpack(values[list(bus)], x.size) for bus in netlist.outputs.values())
    signed = exponent.astype(np.int64)
    signed = np.where(signed >> (fmt.exponent_bits + 1) & 1, signed - (1 << fmt.exponent_bits + 2), signed)
    significand = (fraction + np.uint64(1 << fmt.fraction_bits)).astype(np.float64)
    found = np.ldexp(significand, (signed - fmt.bias - fmt.fraction_bits).astype(np.int32)) * (1 - 2.0 * sign)
    expected = subject.multiply(values_of(fmt, x), values_of(fmt, w))
    normal = (signed >= 1) & (np.abs(found) <= fmt.largest)
    assert normal.mean() > 0.9
    np.testing.assert_array_equal(found[normal].astype(np.float32), expected[normal])


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


def test_words_of_a_trace() -> None:
    x = np.float32([1.5, 0, 3, np.inf, -2, 1e-45])
    w = np.float32([1, 1, -0.5, 1, 4, 1])
    mantissas, others = words_of(design("bfloat16"), x, w, whole=False)
    assert mantissas.tolist() == [192, 192, 128]
    assert others.tolist() == [128, 128, 128]
    words, _ = words_of(design("exact"), x, w, whole=True)
    assert words.tolist() == np.float32([1.5, 3, -2]).view(np.uint32).tolist()
    with pytest.raises(DesignError, match="at least 2 operand pairs must be finite and not zero, but 0 of 3 are"):
        words_of(design("exact"), np.zeros(3), np.ones(3), whole=True)


def test_integer_designs_have_none() -> None:
    with pytest.raises(DesignError, match="needs a float format, but got format=None; choose one"):
        float_netlist(Design(format=None, width=8))
