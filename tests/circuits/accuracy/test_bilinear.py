"""Bilinear forms: which are found, that none is claimed falsely, how they print, and what lowering refuses."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
import pytest
from bilinear_products import every_product, is_bilinear
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import (
    TOPOLOGIES,
    AdderCell,
    BilinearForm,
    Design,
    DesignError,
    Netlist,
    bilinear_form,
    design,
    design_form,
    netlist_from_verilog,
)
from circuits.accuracy.bilinear import EXHAUSTIVE_BITS, Factor, factorise, lowered_form
from circuits.multipliers import PORTS
from circuits.netlists.gates import AND2, XOR2
from circuits.netlists.netlist import NetlistBuilder

WIRES = [
    AdderCell(f"wire{k}", total, carry)
    for k, (total, carry) in enumerate(
        [
            ("00001111", "00110011"),  # A, B
            ("00110011", "00001111"),  # B, A: AMA5
            ("01010101", "00001111"),  # Cin, A
            ("01010101", "00110011"),  # Cin, B
            ("00110011", "00110011"),  # B, B
            ("00000000", "00001111"),  # 0, A
            ("00000000", "00000000"),
        ]
    )
]


def claimed(form: BilinearForm) -> tuple[np.ndarray, np.ndarray]:
    """Products of all operands by the matrix, and by the factors."""
    w, v = len(form.matrix), len(form.matrix[0])
    x = np.array([[k >> i & 1 for i in range(w)] for k in range(1 << w)], dtype=object)
    y = np.array([[k >> j & 1 for j in range(v)] for k in range(1 << v)], dtype=object)
    factors = np.zeros((1 << w, 1 << v), dtype=object)
    for factor in form.factors:
        factors += factor.coefficient * np.outer(
            x @ np.array(factor.x_weights, dtype=object), y @ np.array(factor.y_weights, dtype=object)
        )
    return x @ np.array(form.matrix, dtype=object) @ y.T, factors


def check(netlist: Netlist) -> BilinearForm | None:
    """Asserts that a form is claimed exactly where exhaustion finds one, and gives all products; returns it."""
    form = bilinear_form(netlist)
    products = every_product(netlist)
    assert (form is not None) == is_bilinear(products)
    if form is not None:
        by_matrix, by_factors = claimed(form)
        assert (by_matrix == products).all()
        assert (by_factors == products).all()
        assert form.rank == np.linalg.matrix_rank(np.array(form.matrix, dtype=np.float64))
        assert form.proof in ("structural", "exhaustive")
    return form


def masks(form: BilinearForm | None) -> list[tuple[int, int, Fraction] | None]:
    """(x mask, y mask, scale) of every factor, sorted."""
    assert form is not None
    return sorted((factor.masks for factor in form.factors), key=lambda masks: masks or (0, 0, Fraction(0)))


def test_the_masks_of_facts_2_are_found() -> None:
    """axfpm_tiled: P = (X & 0x111111)*Y + 2*(X & 0xEEEEEE)*(Y & 0x888888); axfpm: x0*Y + 2^24*(X & ~1)*y23."""
    tiled = design_form(design("axfpm_tiled"))
    assert masks(tiled) == [(0x111111, 0xFFFFFF, 1), (0xEEEEEE, 0x888888, 2)]
    assert tiled is not None
    assert tiled.describe() == "P = (X & 0x111111) * Y + 2 * (X & 0xEEEEEE) * (Y & 0x888888), rank 2 (structural)"
    flat = design_form(design("axfpm"))
    assert masks(flat) == [(1, 0xFFFFFF, 1), (0xFFFFFE, 0x800000, 2)]
    assert flat is not None
    assert (flat.rank, flat.proof) == (2, "structural")


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("width", [4, 24])
def test_exact_multipliers_have_rank_one(topology: str, width: int) -> None:
    """X * Y, rank 1, wherever it is proved; Booth's recoding, whose rows wrap around, only by exhaustion."""
    form = design_form(Design(topology=topology, format=None, width=width))
    if topology == "booth":
        assert (form and (str(form), form.proof)) == (("P = X * Y", "exhaustive") if width == 4 else None)
    else:
        assert form is not None
        assert (str(form), form.rank, form.proof) == ("P = X * Y", 1, "structural")


@pytest.mark.parametrize("name", ["heap", "ama1_array", "ama2_array", "ama3_array", "ama4_array"])
def test_designs_without_a_proof_have_no_form(name: str) -> None:
    assert design_form(design(name)) is None


def test_small_significands_are_proved_by_exhaustion() -> None:
    form = design_form(design("bfloat16"))
    assert form is not None
    assert (str(form), form.proof) == ("P = X * Y", "exhaustive")


def test_signed_designs_have_no_form() -> None:
    assert design_form(Design(format=None, width=4, signed=True)) is None


@pytest.mark.slow
@settings(derandomize=True, max_examples=250, deadline=None)
@given(st.data())
def test_a_form_is_claimed_exactly_where_exhaustion_finds_one(data: st.DataObject) -> None:
    """Random arrays of mixed cells, among them cells that only pass inputs on."""
    w, v = data.draw(st.integers(3, 6)), data.draw(st.integers(3, 6))
    cell = st.sampled_from([*WIRES, "exact", "exact", "ama5", "ama4"])
    if data.draw(st.booleans()):
        placement: Any = {
            "grid": data.draw(st.lists(st.lists(cell, min_size=v, max_size=v), min_size=w + 1, max_size=w + 1))
        }
    else:
        placement = {"columns": data.draw(st.lists(cell, min_size=w + v, max_size=w + v))}
    multiplier = Design(
        format=None,
        width=(w, v),
        topology=data.draw(st.sampled_from(["ripple_array", "carry_save_array", "wallace", "dadda"])),
        ports=data.draw(st.sampled_from(PORTS)),
        half_adders=data.draw(st.sampled_from(["cell", "exact"])),
        final_adder=data.draw(st.sampled_from(["exact", "cell"])),
        tile=data.draw(st.sampled_from([None, 2, 3])) if "columns" in placement else None,
        placement=placement,
        truncate_columns=data.draw(st.sampled_from([0, 0, 2])),
    )
    check(multiplier.netlist())


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(
    "policies", [{}, {"truncate_columns": 3}, {"tile": 2}, {"placement": "ama5"}, {"placement": "ama1"}], ids=str
)
def test_no_topology_makes_a_wrong_claim(topology: str, policies: dict[str, Any]) -> None:
    check(Design(topology=topology, format=None, width=(5, 4), **policies).netlist())


def test_forms_of_imported_multipliers_are_proved() -> None:
    """Gates that no generator of ours wrote, with half adders: rewriting or exhaustion proves the form."""
    text = """module m(input [1:0] a, b, output [3:0] o);
      wire p0 = a[0] & b[0], p1 = a[1] & b[0], p2 = a[0] & b[1], p3 = a[1] & b[1];
      wire c1 = p1 & p2;
      assign o = {p3 & c1, p3 ^ c1, p1 ^ p2, p0};
    endmodule"""
    form = check(netlist_from_verilog(text, where="m.v"))
    assert form is not None
    assert str(form) == "P = X * Y"


def build(w: int, v: int, bits: Any) -> Netlist:
    """A netlist with operands of w and v bits whose product bits are `bits(builder, x, y)`."""
    builder = NetlistBuilder("odd")
    x, y = builder.input("x", w), builder.input("y", v)
    builder.output("product", bits(builder, x, y))
    return builder.build()


def test_products_that_are_no_bilinear_form_are_not_claimed() -> None:
    def constant(builder: NetlistBuilder, x: Any, y: Any) -> list[int]:
        return [1, 0, 0, 0, *[0] * 2]

    def linear(builder: NetlistBuilder, x: Any, y: Any) -> list[int]:
        return [*x, *y]

    def square(builder: NetlistBuilder, x: Any, y: Any) -> list[int]:
        return [builder.add(AND2, x[0], x[1])[0], *[0] * 5]

    def parity(builder: NetlistBuilder, x: Any, y: Any) -> list[int]:
        pair = [builder.add(AND2, x[k], y[k])[0] for k in range(2)]
        return [builder.add(XOR2, *pair)[0], *[0] * 5]

    def wraps(builder: NetlistBuilder, x: Any, y: Any) -> list[int]:
        """3 bits of a sum of three products of weight 4: equal to the form modulo 8 only."""
        products = [builder.add(AND2, x[k], y[k])[0] for k in range(3)]
        return [0, 0, builder.add(XOR2, builder.add(XOR2, *products[:2])[0], products[2])[0], 0, 0, 0]

    for bits in (constant, linear, square, parity, wraps):
        assert check(build(3, 3, bits)) is None


def test_a_form_with_a_negative_entry_is_not_claimed() -> None:
    """All bits of the product are x0 y0, so P = 15 x0 y0, which rewriting modulo 16 takes for -x0 y0."""
    text = "module m(input [1:0] x, y, output [3:0] p); assign p = {4{x[0] & y[0]}}; endmodule"
    form = check(netlist_from_verilog(text, where="m.v"))
    assert form is not None
    assert (form.matrix, form.proof) == (((15, 0), (0, 0)), "exhaustive")


def test_nothing_is_claimed_by_sampling() -> None:
    """One of 2^22 products is wrong and rewriting cannot decide, so nothing may be claimed."""
    width = 11
    assert 2 * width > EXHAUSTIVE_BITS
    builder = NetlistBuilder("rare")
    x, y = builder.input("x", width), builder.input("y", width)
    every = x[0]
    for net in (*x[1:], *y):
        every = builder.add(AND2, every, net)[0]
    wrong = builder.add(XOR2, builder.add(AND2, x[0], y[0])[0], every)[0]
    builder.output("product", [wrong, *[0] * (2 * width - 1)])
    netlist = builder.build()
    assert Design(netlist=netlist).multiply_integers([2047, 1], [2047, 1]).tolist() == [0, 1]
    assert bilinear_form(netlist) is None


def test_exhaustion_decides_where_rewriting_cannot() -> None:
    """x0 y0 as (x0 OR y0) XOR x0 XOR y0: rewriting meets products of inner nets."""
    text = """module m(input [1:0] x, y, output [3:0] p);
      wire o = x[0] | y[0];
      assign p = {3'b000, o ^ x[0] ^ y[0]};
    endmodule"""
    form = check(netlist_from_verilog(text, where="m.v"))
    assert form is not None
    assert (str(form), form.proof) == ("P = (X & 0x1) * (Y & 0x1)", "exhaustive")


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-9, 9), min_size=columns, max_size=columns), min_size=1, max_size=5
        )
    )
)
def test_factors_sum_to_the_matrix_and_are_as_many_as_its_rank(matrix: list[list[int]]) -> None:
    factors = factorise(matrix)
    total = np.zeros((len(matrix), len(matrix[0])), dtype=object)
    for factor in factors:
        total += factor.coefficient * np.outer(
            np.array(factor.x_weights, dtype=object), np.array(factor.y_weights, dtype=object)
        )
    assert (total == np.array(matrix, dtype=object)).all()
    assert len(factors) == np.linalg.matrix_rank(np.array(matrix, dtype=np.float64))
    for factor in factors:
        for weights in (factor.x_weights, factor.y_weights):
            assert gcd(*weights) == 1


def test_the_documented_factorisations() -> None:
    """Parallel rows have a common direction that starts positive; elimination may need fractions."""
    assert factorise([[2, 4], [3, 6]]) == (Factor(Fraction(1), (2, 3), (1, 2)),)
    assert factorise([[-2, 4], [3, -6]]) == (Factor(Fraction(1), (-2, 3), (1, -2)),)
    # Three directions of rows and of columns, rank 2: the echelon form is [1 0 1/2; 0 1 1/2].
    assert factorise([[2, 0, 1], [0, 2, 1], [2, 2, 2]]) == (
        Factor(Fraction(1), (1, 0, 1), (2, 0, 1)),
        Factor(Fraction(1), (0, 1, 1), (0, 2, 1)),
    )


def test_factors_print_as_masks_scales_and_weighted_bits() -> None:
    assert str(Factor(Fraction(2), (0, 1, 0), (1, 2, 4))) == "(X & 0x2) * Y"
    assert str(Factor(Fraction(3), (0, 1, 2), (1, 2, 4))) == "3/2 * (X & 0x6) * Y"
    assert str(Factor(Fraction(1, 2), (2, 1), (1, 2))) == "1/2 * (weighted bits of X) * (weighted bits of Y)"
    assert str(BilinearForm(((0,),), (), "structural")) == "P = 0"
    form = design_form(Design(format=None, width=8, truncate_columns=7))
    assert form is not None
    assert form.describe().endswith(" + 4 more products, rank 8 (structural)")


ZERO = AdderCell("zero", "00000000", "00000000", transistors=0)
CROSSED = """module crossed(input [3:0] x, y, output [7:0] p);
  assign p = {1'b0, x[3] & y[3], 4'b0000, x[0] & y[0], x[1] & y[0]};
endmodule"""
HALVED = """module halved(input [2:0] x, y, output [5:0] p);
  assign p = {2'b0, x[2] & y[2], x[1] & y[2], 2'b0};
endmodule"""
"""P = (X & 6) (Y & 4) / 2: at least 8 for normalised operands, half of the exact 4 * 4."""
REFUSED = [
    (
        Design(format=None, width=8),
        "lowering needs a float format, but got format=None; give the design one.",
    ),
    (
        design("axfpm_released"),
        "lowering needs normalization='full', but axfpm_released has 'released': its result is no bilinear form; "
        "compute it gate-exact.",
    ),
    (
        design("heap"),
        "lowering needs a bilinear form in the operand bits, but none is proved for heap (reconstructed); "
        "compute it gate-exact.",
    ),
    (
        Design(netlist=netlist_from_verilog(CROSSED, where="crossed.v"), format="fp8_e4m3"),
        "lowering needs factors of masked operands, but the form of crossed (rank 2) has others; compute it "
        "gate-exact.",
    ),
    (
        Design(placement=ZERO, format="bfloat16", name="nothing"),
        "lowering needs products of at least 2^14 for normalised operands, but nothing is only known to give 0; "
        "compute it gate-exact.",
    ),
    (
        Design(netlist=netlist_from_verilog(HALVED, where="halved.v"), format="fp8_e5m2"),
        "lowering needs products of at least 2^4 for normalised operands, but halved is only known to give 8; "
        "compute it gate-exact.",
    ),
]


@pytest.mark.parametrize(
    ("multiplier", "message"), REFUSED, ids=["integer", "released", "none", "no masks", "zero", "too small by half"]
)
def test_designs_that_cannot_be_lowered_are_refused_with_the_reason(multiplier: Design, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        lowered_form(multiplier)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["axfpm", "axfpm_tiled", "exact", "ama5_array"])
def test_lowered_forms_consist_of_masked_operands_and_equal_the_products(name: str) -> None:
    form = lowered_form(design(name))
    assert all(factor.masks for factor in form.factors)
    rng = np.random.default_rng(0)
    x, y = rng.integers(2**23, 2**24, (2, 2000))
    total = np.zeros(2000, dtype=object)
    for factor in form.factors:
        assert factor.masks is not None
        x_mask, y_mask, scale = factor.masks
        total += scale * ((x & x_mask).astype(object) * (y & y_mask).astype(object))
    np.testing.assert_array_equal(total, design(name).multiply_integers(x, y).astype(object))


@pytest.mark.parametrize("placement", ["exact", "ama5"])
@pytest.mark.parametrize("fmt", ["fp8_e4m3", "fp8_e5m2", "bfloat16"])
def test_the_bound_of_the_lowering_is_the_least_product(placement: str, fmt: str) -> None:
    """Over all normalised operands. The entries of a form are products of single bits, so none is negative."""
    multiplier = Design(placement=placement, format=fmt)
    form = lowered_form(multiplier)
    width = multiplier.shape[0]
    x, y = (values.ravel() for values in np.meshgrid(*[np.arange(1 << (width - 1), 1 << width)] * 2))
    assert multiplier.multiply_integers(x, y).min() == form.matrix[-1][-1] >= 1 << (2 * width - 2)
    single = 1 << np.arange(width)
    products = multiplier.multiply_integers(np.repeat(single, width), np.tile(single, width))
    assert np.concatenate(form.matrix).tolist() == products.tolist()
