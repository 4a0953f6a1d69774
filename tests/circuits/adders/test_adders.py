"""Approximate adders: integer models, published error rates, use as final adders and accumulators, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiplier_models import every_pair

from circuits import (
    AdderDesign,
    Design,
    DesignError,
    adder,
    adder_errors,
    cost_report,
    mac_cost,
    netlist_from_verilog,
    to_verilog,
)
from circuits.adders import ADDERS
from circuits.commands import main

Numbers = np.ndarray


# Models, from the papers' definitions, on integers.


def loa(a: Numbers, b: Numbers, n: int, lower: int) -> Numbers:
    """Mahdiani et al. 2010: OR below, exact above with the AND of the highest lower bits as carry."""
    if lower == 0:
        return a + b
    carry = a >> (lower - 1) & b >> (lower - 1) & 1
    return ((a >> lower) + (b >> lower) + carry << lower) + ((a | b) & (1 << lower) - 1)


def gear(a: Numbers, b: Numbers, n: int, r: int, p: int) -> Numbers:
    """Shafique et al. 2015: every sum bit from the sub-adder that is responsible for it."""
    count = max(-(-(n - r - p) // r), 0) + 1
    total = np.zeros_like(a)
    for k in range(count):
        low, high = k * r, min(k * r + r + p, n)
        part = (a >> low & (1 << high - low) - 1) + (b >> low & (1 << high - low) - 1)
        keep = 0 if k == 0 else p
        bits = high - low - keep + (k == count - 1)  # the last one's carry out too
        total += (part >> keep & (1 << bits) - 1) << low + keep
    return total


def eta2(a: Numbers, b: Numbers, n: int, segment: int) -> Numbers:
    """Zhu, Goh, Yeo 2009: the carry into a segment is that of the segment below alone."""
    total, carry = np.zeros_like(a), np.zeros_like(a)
    for low in range(0, n, segment):
        size = min(segment, n - low)
        left, right = a >> low & (1 << size) - 1, b >> low & (1 << size) - 1
        part = left + right + carry
        total += (part if low + size == n else part & (1 << size) - 1) << low
        carry = left + right >> size
    return total


def truncated(a: Numbers, b: Numbers, n: int, lower: int, fill: str) -> Numbers:
    low = {"zeros": 0 * a, "ones": 0 * a + (1 << lower) - 1, "first": a & (1 << lower) - 1}[fill]
    return ((a >> lower) + (b >> lower) << lower) + low


MODELS: dict[str, Callable[..., Numbers]] = {
    "ripple": lambda a, b, n: a + b,
    "loa": loa,
    "gear": gear,
    "eta2": eta2,
    "truncated": truncated,
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("ripple", {}),
    *(("loa", {"lower": k}) for k in (0, 1, 3, 7)),
    *(("gear", {"r": r, "p": p}) for r, p in ((1, 0), (1, 3), (2, 2), (3, 1), (2, 5), (4, 6), (7, 0))),
    *(("eta2", {"segment": k}) for k in (1, 2, 3, 7)),
    *(("truncated", {"lower": k, "fill": fill}) for k, fill in ((0, "ones"), (2, "zeros"), (3, "first"), (7, "ones"))),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_pair_of_seven_bits_equals_the_model(name: str, options: dict[str, Any]) -> None:
    a, b = every_pair(7, 7, signed=False)
    sums = adder(name, 7, options).add(a, b, backend="interpreted")
    assert np.array_equal(sums.astype(np.int64), MODELS[name](a, b, 7, **options))


@pytest.mark.parametrize("name", ADDERS)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_wide_sums_equal_the_model(name: str, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 61))
    entry = adder(name, width)
    a, b = (
        np.array(data.draw(st.lists(st.integers(0, (1 << width) - 1), min_size=4, max_size=4)), dtype=np.int64)
        for _ in range(2)
    )
    options = {
        key: int(value) if value.isdecimal() else value
        for key, value in (part.split("=") for part in entry.name[len(name) + 1 : -1].split(",") if part)
    }
    assert np.array_equal(entry.add(a, b, backend="interpreted").astype(np.int64), MODELS[name](a, b, width, **options))


def test_gear_contains_eta2() -> None:
    """Shafique et al. 2015, section 3.1: ETA-II is GeAr with r = p = the segment."""
    a, b = every_pair(9, 9, signed=False)
    for segment in (1, 2, 3, 4):
        left = adder("eta2", 9, {"segment": segment}).add(a, b, backend="interpreted")
        assert np.array_equal(left, adder(f"gear(r={segment},p={segment})", 9).add(a, b, backend="interpreted"))


@pytest.mark.parametrize(
    ("text", "width", "rate"),
    [("gear(r=4,p=4)", 12, 2.9297), ("gear(r=4,p=8)", 16, 0.1831), ("gear(r=8,p=8)", 32, 0.3891)],
)
def test_gear_has_the_published_error_probability(text: str, width: int, rate: float) -> None:
    """Shafique et al. 2015, table III, modelled error probability in per cent; their simulated ones differ by up to
    0.02."""
    metrics = adder_errors(adder(text, width), samples=2_000_000)
    assert 100 * metrics.error_rate.value == pytest.approx(rate, abs=4 * 100 * metrics.error_rate.half_width)
    assert metrics.larger.value == 0


def test_loa_has_the_published_error_probability() -> None:
    """Mahdiani et al. 2010: about 40 % with 2 lower bits, about 90 % with 8; it does not depend on the width.

    1 - (3/4)^L: the sum is right unless both bits of some lower position are 1.
    """
    for width, lower, rate in ((8, 2, 0.4375), (10, 2, 0.4375), (10, 8, 0.8999)):
        metrics = adder_errors(adder("loa", width, {"lower": lower}))
        assert metrics.error_rate.value == pytest.approx(rate, abs=1e-4)
        assert metrics.method == "exhaustive"
        assert metrics.worst_case == 1 << (lower - 1)


def test_adder_metrics_equal_their_definitions() -> None:
    entry = adder("eta2(segment=2)", 6)
    a, b = every_pair(6, 6, signed=False)
    error = entry.add(a, b).astype(np.int64) - (a + b)
    metrics = adder_errors(entry)
    assert metrics.med.value == pytest.approx(abs(error).mean())
    assert metrics.nmed.value == pytest.approx(abs(error).mean() / 126)
    assert metrics.bias.value == pytest.approx(error.mean())
    assert metrics.error_rate.value == (error != 0).mean()


# As final adders.


def loa_tree(topology: str, **fields: Any) -> Design:
    return Design(topology=topology, format=None, **{"width": 6, "final_adder": "loa(lower=8)", **fields})


@pytest.mark.parametrize("topology", ["wallace", "dadda", "booth", "carry_save_array", "compressor_tree", "truncated"])
def test_approximate_final_adders_change_the_product_and_the_cost(topology: str) -> None:
    """A ripple adder changes no product, the approximate ones change some; they are named in the design's file."""
    x, y = every_pair(6, 6, signed=False)
    plain = loa_tree(topology, final_adder="exact")
    changed = 0
    for text in ("ripple", "loa(lower=8)", "eta2(segment=3)", "gear(r=2,p=3)", "truncated(lower=7,fill=ones)"):
        entry = loa_tree(topology, final_adder=text)
        assert entry.final_adder == text
        assert Design.from_toml(entry.to_toml()) == entry
        products = entry.multiply_integers(x, y, backend="interpreted")
        exact = plain.multiply_integers(x, y, backend="interpreted")
        assert np.array_equal(products, exact) or text != "ripple"
        changed += not np.array_equal(products, exact)
    # A carry-save array has resolved its lower half already, so that little is left to add.
    assert changed == (3 if topology == "carry_save_array" else 4)
    assert cost_report(loa_tree(topology), samples=16).drawn.area < cost_report(plain, samples=16).drawn.area


def test_the_final_adder_of_a_carry_save_array_equals_a_model() -> None:
    """The array's rows as integers, sums and saved carries, added by the model of LOA over all product columns."""
    w = v = 6
    x, y = every_pair(w, v, signed=False)
    sums, carries = y * (x & 1), np.zeros_like(x)
    low = sums & 1
    for i in range(1, w):
        row = y * (x >> i & 1)
        above = sums >> 1
        total = row ^ above ^ carries
        carries = row & above | row & carries | above & carries
        sums = total
        low |= (sums & 1) << i
    a, b = low | (sums >> 1) << w, carries << w
    for lower in (3, 8, 12):
        entry = loa_tree("carry_save_array", final_adder=f"loa(lower={lower})")
        expected = loa(a, b, w + v, lower) & (1 << w + v) - 1
        assert np.array_equal(entry.multiply_integers(x, y, backend="interpreted").astype(np.int64), expected)


def test_signed_and_tiled_trees_take_approximate_final_adders() -> None:
    x, y = every_pair(6, 6, signed=True)
    assert np.array_equal(loa_tree("dadda", signed=True, final_adder="ripple").multiply_integers(x, y), x * y)
    assert not np.array_equal(loa_tree("dadda", signed=True).multiply_integers(x, y), x * y)
    assert len(loa_tree("dadda", tile=3).netlist().outputs["product"]) == 13


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"topology": "ripple_array", "final_adder": "loa"},
            "topology 'ripple_array' has no final adder to replace, so final_adder must be 'exact' or 'cell', but got "
            "'loa(lower=6)'; leave it out or choose a tree.",
        ),
        (
            {"topology": "dadda", "final_adder": "loa(lower=13)"},
            "0 <= lower <= 12 must hold for operands of 12 bits, but got 13; choose an integer in that range.",
        ),
        ({"topology": "dadda", "final_adder": "lao"}, "unknown final_adder 'lao'; nearest: loa."),
        ({"topology": "dadda", "final_adder": "loa(up=1)"}, "unknown option of adder 'loa' 'up'; available: lower."),
        (
            {"topology": "dadda", "final_adder": "loa(lower=1"},
            "an adder must be named like 'loa' or 'loa(lower=4)', but got 'loa(lower=1'; correct it.",
        ),
        (
            {"topology": "dadda", "final_adder": 3},
            "an adder must be named like 'loa' or 'loa(lower=4)', but got 3; correct it.",
        ),
    ],
)
def test_unusable_final_adders_are_refused_with_the_whole_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        Design(format=None, width=6, **fields)
    assert str(caught.value) == message


# As accumulators.


def test_accumulation_wraps_around_as_a_register_does() -> None:
    """In two's complement; an approximate adder makes the same errors on the same bits."""
    rng = np.random.default_rng(2)
    a, b = rng.integers(-(1 << 11), 1 << 11, (2, 300))
    wrapped = (a + b + (1 << 11)) % (1 << 12) - (1 << 11)
    assert np.array_equal(adder("ripple", 12).accumulate(a, b), wrapped)
    mask = (1 << 12) - 1
    approximate = loa(a & mask, b & mask, 12, 4) & mask
    assert np.array_equal(adder("loa(lower=4)", 12).accumulate(a, b), (approximate ^ 1 << 11) - (1 << 11))
    assert adder("ripple", 12).accumulate(-2048, -1) == 2047
    with pytest.raises(DesignError, match=r"-2\^11 <= a < 2\^11 must hold"):
        adder("ripple", 12).accumulate(2048, 0)


def test_the_cost_of_a_mac_is_that_of_multiplier_and_accumulator() -> None:
    design = Design(topology="dadda", format=None, width=6, signed=True)
    exact, cheap = (mac_cost(design, adder(text, 18), samples=512) for text in ("ripple", "loa(lower=9)"))
    assert exact.multiplier == cheap.multiplier == cost_report(design, samples=512).drawn
    assert cheap.accumulator.energy < exact.accumulator.energy
    assert exact.energy == exact.multiplier.energy + exact.accumulator.energy
    assert exact.wrapped == 0 < cheap.wrapped
    trace = np.tile([3, -32], 40), np.tile([-32, -32, 5, 0], 20)
    assert mac_cost(design, adder("ripple", 18), operands=trace, depth=8).wrapped == 0
    with pytest.raises(
        DesignError, match=r"^products of .* need an accumulator of at least 12 bits, but 'ripple' has 8"
    ):
        mac_cost(design, adder("ripple", 8))
    with pytest.raises(DesignError, match="needs an integer design"):
        mac_cost(Design(), adder("ripple", 60))


# Files and commands.


def test_an_adder_exported_as_verilog_is_recognised_and_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exported by the command, recognised by `import`, measured again by the command."""
    path = tmp_path / "loa.v"
    assert main(["adder", "loa", "--width", "8", "--option", "lower=3", "-o", str(path), "--format", "json"]) == 0
    capsys.readouterr()
    read = AdderDesign(netlist_from_verilog(path.read_text(), where="loa.v"), "read")
    assert adder_errors(read).med == adder_errors(adder("loa(lower=3)", 8)).med
    assert main(["import", str(path)]) == 0
    found = capsys.readouterr().out
    assert "this is an adder, no multiplier: it computes x + y" in " ".join(found.split())
    assert "those of `python -m circuits adder FILE` against x + y" in " ".join(found.split())
    assert main(["adder", str(path), "loa(lower=3)", "--width", "8", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["adders"]
    assert {**first["errors"], "design": "", "digest": ""} == {**second["errors"], "design": "", "digest": ""}


def test_the_adder_command_prints_errors_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    own = ["adder", "loa", "ripple", "--width", "20", "--samples", "5000", "--cost-samples", "128"]
    assert main([*own, "--multiplier", "docs/examples/none.toml"]) == 2
    assert main([*own, "--format", "csv"]) == 0
    assert "loa(lower=10),cost drawn,energy," in capsys.readouterr().out
    assert main(own) == 0
    assert "error / exact sum" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lao"], "unknown adder 'lao'; nearest: loa."),
        (["loa", "--option", "lower"], "--option must be NAME=VALUE, but got 'lower'; write --option lower=8, say."),
        (["loa", "gear", "-o", "x.v"], "-o must name a .v file for a single adder; give one adder, or leave -o out."),
    ],
)
def test_mistakes_on_the_adder_command_line_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adder", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_multiplier_is_no_adder() -> None:
    text = to_verilog(Design(topology="dadda", format=None, width=4))
    with pytest.raises(DesignError, match="an adder must have two operands of one width n and a sum of n or n"):
        AdderDesign(netlist_from_verilog(text, where="x.v"), "x")
