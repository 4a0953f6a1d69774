"""Studies of noise: figures 3, 4, 13, 15, 16 and wiring, against independent models."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from circuits import design, error_metrics
from circuits.accuracy.sampling import CHUNK, uniform01
from cnn_eval import CONTROL
from dse.score.fast_screen import Screen
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own import wiring
from studies.paper import figure3, figure4, figure13, figure15, figure16
from studies.rows import noise_rows

QUICK = StudyOptions(level="quick")


def tiled(x: float, w: float, *, released: bool = False) -> float:
    """FACTS 2: P = (X & 0x111111) Y + 2 (X & 0xEEEEEE) (Y & 0x888888), truncated to 24 bits; results of the released
    normaliser are half as large where P has 49 bits."""
    if x == 0 or w == 0:
        return 0.0
    (m, e), (n, f) = math.frexp(x), math.frexp(w)
    big_x, big_y = int(abs(m) * 2**24), int(abs(n) * 2**24)
    p = (big_x & 0x111111) * big_y + 2 * (big_x & 0xEEEEEE) * (big_y & 0x888888)
    dropped = p.bit_length() - 24
    value = math.ldexp((p >> dropped) << dropped, e + f - 48)
    halved = released and p >= 1 << 48
    return math.copysign(value / 2 if halved else value, x * w)


# ---- noise over random products


def test_operands_are_uniform_in_both_intervals() -> None:
    pairs = CHUNK + 1000
    plain, signed = (list(noise_rows.operands(pairs, signed=kind)) for kind in (False, True))
    assert [x.size for x, _ in signed] == [CHUNK, 1000]
    for number, ((x, w), (sx, sw)) in enumerate(zip(plain, signed, strict=True)):
        assert np.array_equal((x, w), uniform01(0, number, x.size))
        assert np.array_equal((np.abs(sx), np.abs(sw)), (x, w))
        assert sx.dtype == sw.dtype == np.float32
    x, w = signed[0]
    quarters = [int(((x < 0) == a).astype(int) @ ((w < 0) == b).astype(int)) for a in (0, 1) for b in (0, 1)]
    # Binomial with rate 1/4: five standard deviations are 555.
    assert all(abs(count - CHUNK / 4) < 555 for count in quarters)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("released", [False, True])
def test_noise_of_a_design_that_does_not_commute_equals_a_model(
    signed: bool, released: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_rows, "RANKED", 700)
    monkeypatch.setattr(noise_rows, "CELLS", 5)
    monkeypatch.setattr(noise_rows, "BINS", 12)
    found = noise_rows.noise(
        design("axfpm_released" if released else "axfpm_tiled"), pairs=2000, signed=signed, reach=0.6
    )
    ((x, w),) = noise_rows.operands(2000, signed=signed)
    x, w = x.astype(float), w.astype(float)
    table = pd.DataFrame({"p": x * w})
    table["e"] = [tiled(a, b, released=released) for a, b in zip(x, w, strict=True)] - table.p
    assert found.mean == pytest.approx(table.e.abs().mean(), rel=1e-12)
    half = 1.959964 * table.e.abs().std(ddof=0) / math.sqrt(2000)
    assert (found.mean_low, found.mean_high) == pytest.approx((found.mean - half, found.mean + half), rel=1e-6)
    assert found.larger == int(((table.p + table.e).abs() > table.p.abs()).sum())
    assert found.negative == int((table.e < 0).sum())
    assert found.ranked == 700
    first = table[:700].abs()
    assert found.absolute == pytest.approx(first.e.rank().corr(first.p.rank()), abs=1e-9)
    assert found.relative == pytest.approx((first.e / first.p).rank().corr(first.p.rank()), abs=1e-9)
    low = -1.0 if signed else 0.0
    edges = np.linspace(low, 1, 6)
    cells = [np.minimum(np.searchsorted(edges, values, side="right") - 1, 4) for values in (x, w)]
    groups = table.e.groupby([cells[0], cells[1]])
    within = groups.apply(lambda part: ((part - part.mean()) ** 2).sum()).sum()
    total = ((table.e - table.e.mean()) ** 2).sum()
    assert found.explained == pytest.approx(1 - (within / (2000 - len(groups))) / (total / 1999), abs=1e-9)
    expected, _, _ = np.histogram2d(table.p, table.e, bins=12, range=[(low, 1), (-0.6, 0.6)])
    assert np.array_equal(found.counts, expected)
    assert found.counts.sum() == 2000


def test_share_and_mean_agree_with_error_metrics() -> None:
    found = noise_rows.noise(design("heap"), pairs=20_000, signed=False)
    expected = error_metrics(design("heap"), samples=20_000)
    assert found.mean == pytest.approx(expected.med.value, rel=1e-12)
    assert (found.mean_low, found.mean_high) == pytest.approx((expected.med.low, expected.med.high), rel=1e-9)
    assert found.larger / found.pairs == expected.larger.value
    rows = {row.quantity: row for row in noise_rows.rows(found, larger=34)}
    assert rows["larger in magnitude"].published == 34
    assert rows["larger in magnitude"].interval == pytest.approx(
        (100 * expected.larger.low, 100 * expected.larger.high)
    )
    assert {row.subject for row in noise_rows.rows(found)} == {"heap (reconstructed)"}


def test_errors_beyond_the_histogram_stay_in_it() -> None:
    found = noise_rows.noise(design("axfpm"), pairs=1000, signed=False, reach=0.01)
    assert found.counts.sum() == 1000
    assert found.counts[:, -1].sum() > 500


def test_jumps_of_the_flat_array_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    # e = x (2^(exponent of w + 1) - w): along x no jump, along w one of x 2^-k at each 2^-k; FACTS 2.
    monkeypatch.setattr(noise_rows, "FIXED", 40)
    x, _ = uniform01(2, 0, 40)
    along_x, along_w = (noise_rows.jumps(design("axfpm"), operand) for operand in (0, 1))
    assert along_x.largest < 2e-7
    assert along_x.count == 0
    assert along_w.largest == pytest.approx(0.5 * x.max(), abs=1e-6)
    assert along_w.at == 0.5
    assert along_w.averaged == pytest.approx(0.5 * x.mean(), abs=1e-6)
    assert along_w.count == np.mean([sum(value * 2.0**-k >= 0.01 for k in range(1, 13)) for value in x])


@pytest.mark.parametrize("operand", [0, 1])
def test_jumps_of_the_released_circuit_are_those_at_every_boundary(
    operand: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_rows, "FIXED", 6)
    monkeypatch.setattr(noise_rows, "BOUNDARIES", 64)
    found = noise_rows.jumps(design("axfpm_released"), operand)
    moved = np.zeros((6, 63))
    for line, other in enumerate(uniform01(2, 0, 6)[1 - operand].astype(float)):
        for place in range(63):
            above = (place + 1) / 64
            below = float(np.nextafter(np.float32(above), np.float32(0)))
            errors = []
            for value in (above, below):
                pair = (value, other) if operand == 0 else (other, value)
                errors.append(tiled(*pair, released=True) - pair[0] * pair[1])
            moved[line, place] = errors[0] - errors[1]
    assert found.largest == np.abs(moved).max()
    assert found.at == (np.abs(moved).max(0).argmax() + 1) / 64
    assert found.averaged == pytest.approx(np.abs(moved.mean(0)).max(), rel=1e-12)
    assert found.count == (np.abs(moved) >= 0.01).sum() / 6


# ---- verdicts follow from the rows


def changed(rows: Sequence[Row], subject: str, quantity: str, measured: float) -> list[Row]:
    found = [
        replace(row, measured=measured, interval=(measured, measured))
        if (row.subject, row.quantity) == (subject, quantity)
        else row
        for row in rows
    ]
    assert found != list(rows)
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All studies of noise on few pairs."""
    monkeypatch.setitem(noise_rows.PAIRS, "quick", 20_000)
    monkeypatch.setattr(noise_rows, "RANKED", 5000)
    monkeypatch.setattr(noise_rows, "FIXED", 16)
    monkeypatch.setattr(noise_rows, "BINS", 16)


def assert_complete(result: StudyResult) -> None:
    assert set(result.figures) == {"png", "svg"}
    assert json.loads(result.to_json())["rows"]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_figure3_has_the_noise_of_the_released_circuit() -> None:
    result = figure3.run(QUICK)
    assert_complete(result)
    assert result.figures == figure3.run(QUICK).figures
    value = {(row.subject, row.quantity): row for row in result.rows}
    released = value["axfpm_released", "larger in magnitude"]
    assert released.published == 96
    assert abs(released.measured - 95.7) < 0.6  # FACTS 2; four standard errors
    assert value["axfpm_tiled", "larger in magnitude"].measured == 100
    assert figure3.conclude(result.rows)[0] == "reproduced"
    other = changed(result.rows, "axfpm_released", "larger in magnitude", 90.0)
    verdict, reason = figure3.conclude(other)
    assert verdict == "reproduced in direction"
    assert "The published 96 % is that of none" in reason
    # A design without discontinuity, one without growth, one with most results smaller.
    for subject, quantity, measured in (
        ("axfpm", "largest jump along the second operand", 1e-3),
        ("axfpm", "rank correlation of |e| with |p|", -0.1),
        ("axfpm", "larger in magnitude", 49.0),
    ):
        assert figure3.conclude(changed(other, subject, quantity, measured))[0] == "not reproduced"


@pytest.mark.usefixtures("small")
def test_figure15_has_the_noise_of_heap() -> None:
    result = figure15.run(QUICK)
    assert_complete(result)
    rows = result.rows
    own = design("heap").label
    shares = {row.subject: row.published for row in rows if row.quantity == "larger in magnitude"}
    assert shares == {own: 34, "axfpm": 96, "axfpm_tiled": 96, "axfpm_released": 96}
    # 9 of 12 comparisons are enough for the direction, all for more; none without a smaller mean |e|.
    for quantity in figure15.DEPENDENCE:
        for name in ("axfpm", "axfpm_tiled", "axfpm_released"):
            rows = [
                row if (row.subject, row.quantity) != (name, quantity) else replace(row, measured=9) for row in rows
            ]
        rows = changed(rows, own, quantity, 1)
    rows = changed(rows, own, "larger in magnitude", 34.2)
    assert figure15.conclude(rows)[0] == "reproduced"
    rows = changed(rows, own, figure15.DEPENDENCE[0], 10)
    assert figure15.conclude(rows)[0] == "reproduced in direction"
    assert "rank correlation of |e| with |p| 10, below none" in figure15.conclude(rows)[1]
    assert figure15.conclude(changed(rows, own, figure15.DEPENDENCE[1], 10))[0] == "not reproduced"
    assert figure15.conclude(changed(rows, own, "mean |e|", 1.0))[0] == "not reproduced"


@pytest.mark.usefixtures("small")
def test_figure13_has_the_noise_of_bfloat16() -> None:
    result = figure13.run(QUICK)
    assert_complete(result)
    value = {(row.subject, row.quantity): row.measured for row in result.rows}
    assert value["bfloat16", "negative"] == 100  # truncation never enlarges a magnitude
    nearest = figure13.NEAREST.label
    assert 45 < value[nearest, "negative"] < 55
    # Truncating two operands and a product to 8 bits loses twice what rounding can, and all of it adds up.
    assert 2 < value["bfloat16", "mean |e|"] / value[nearest, "mean |e|"] < 6
    ratio = value["axfpm", "mean |e|"] / value["bfloat16", "mean |e|"]
    assert value["bfloat16", "mean |e| of axfpm / own"] == pytest.approx(ratio)
    rows = result.rows
    for name in ("axfpm", "axfpm_tiled", "axfpm_released"):
        rows = changed(rows, "bfloat16", f"mean |e| of {name} / own", 500.0)
    rows = changed(rows, "bfloat16", "rank correlation of |e| with |p|", -0.05)
    assert figure13.conclude(rows)[0] == "reproduced"
    assert figure13.conclude(changed(rows, "bfloat16", "mean |e| of axfpm / own", 50.0))[0] == "reproduced in direction"
    assert figure13.conclude(changed(rows, "bfloat16", "mean |e| of axfpm / own", 9.0))[0] == "not reproduced"
    assert figure13.conclude(changed(rows, "bfloat16", "negative", 60.0))[0] == "not reproduced"


# ---- convolutions


def test_patches_have_the_length_of_their_filter_and_the_cosines_asked_for() -> None:
    filters = figure4.random_filters()[:7]
    patches = figure4.similar_patches(filters).astype(float)
    assert patches.shape == (7, 6, 25)
    for one, patch in zip(filters.astype(float), patches, strict=True):
        assert np.linalg.norm(patch, axis=1) == pytest.approx(np.linalg.norm(one), rel=1e-6)
        cosines = patch @ one / np.linalg.norm(one) ** 2
        assert cosines == pytest.approx(np.array([0, 0.2, 0.4, 0.6, 0.8, 1]), abs=1e-6)
    assert len(figure4.random_filters()) == len(figure4.trained_filters()) == 100


def test_convolutions_multiply_patch_by_filter() -> None:
    filters = figure4.trained_filters()[3:6]
    patches = figure4.similar_patches(filters)
    found = figure4.convolved(patches, filters)
    assert list(found) == ["axfpm", "axfpm_tiled", "axfpm_released", "heap (reconstructed)", CONTROL]
    for name, released in (("axfpm_tiled", False), ("axfpm_released", True)):
        expected = [
            [
                sum(tiled(float(x), float(w), released=released) for x, w in zip(patch, one, strict=True))
                for patch in own
            ]
            for one, own in zip(filters, patches, strict=True)
        ]
        assert found[name] == pytest.approx(np.array(expected), abs=1e-5)
    rounded = np.sign(filters) * 2.0 ** (np.floor(np.log2(np.abs(filters))) + 1)
    control = np.einsum("flk,fk->fl", patches, rounded)
    assert found[CONTROL] == pytest.approx(control, abs=1e-5)


def test_measures_of_gaps_by_hand() -> None:
    gap = np.array([[-1.0, 0, 1, 2, 3, 4], [1, 0, -1, -2, -3, -4], [-1, 0, 1, 2, 4, 3], [0, 1, 2, 3, 4, 5]])
    exact = np.array([[0.0, 1, 2, 3, 4, 5]] * 4)
    rows = {row.quantity: row for row in figure4.measures("one", "random", gap, exact)}
    rising = rows["rank correlation of gap with similarity, random"]
    assert rising.measured == pytest.approx((1 - 1 + (1 - 6 * 2 / 210) + 1) / 4)
    assert rows["largest gap at the most similar, random"].measured == 50
    assert rows["lower at the least similar, random"].measured == 50
    assert rows["gap at similarity 0, random"].measured == -0.25
    assert rows["gap at similarity 1, random"].measured == 2
    # gap / exact: 0, .5, .667, .75, .8; falling; 0, .5, .667, 1, .6; 1 throughout has no rank correlation
    assert math.isnan(rows["rank correlation of gap / exact, random"].measured)


def test_figure4_has_gaps_by_similarity_for_two_kinds_of_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure4, "FILTERS", 12)
    result = figure4.run(QUICK)
    assert_complete(result)
    value = {(row.subject, row.quantity): row for row in result.rows}
    for quantity in ("rank correlation of gap with similarity, trained", "gap at similarity 1, random"):
        # The flat array multiplies by the weight rounded up to a power of two, up to the activation's last bit.
        assert value["axfpm", quantity].measured == pytest.approx(value[CONTROL, quantity].measured, abs=1e-5)
    rows = result.rows
    rising = f"{figure4.RISING} with similarity"
    for name in ("axfpm", "axfpm_tiled", "axfpm_released"):
        for kind in ("random", "trained"):
            rows = changed(rows, name, f"{figure4.DISSIMILAR}, {kind}", 80.0)
            rows = changed(rows, name, f"{rising}, {kind}", 0.77)
    assert figure4.conclude(rows)[0] == "reproduced"
    lower = changed(rows, "axfpm", f"{figure4.DISSIMILAR}, trained", 50.0)
    assert figure4.conclude(lower)[0] == "reproduced in direction"
    assert "lower for 50 to 80 %" in figure4.conclude(lower)[1]
    assert figure4.conclude(changed(rows, "axfpm_tiled", f"{rising}, random", 0.4))[0] == "not reproduced"


def test_measures_of_feature_maps_by_hand() -> None:
    exact = np.array([[-2.0, -1, 0, 1, 2, 3, 4, 5, 6, 10], [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]])
    rows = {row.quantity: row.measured for row in figure16.measures("one", 3 * exact, exact)}
    assert rows == pytest.approx(
        {
            figure16.IMPORTANT_QUANTITY: 3,
            "mean positive activation / exact": 3,
            "mean |activation| / exact": 3,
            "correlation with exact": 1,
            "slope of the regression on exact": 3,
        }
    )
    moved = exact.copy()
    moved[:, -1] += (1, 2)  # the most important activation of each: 11 / 10 and 4 / 2
    rows = {row.quantity: row.measured for row in figure16.measures("one", moved, exact)}
    assert rows[figure16.IMPORTANT_QUANTITY] == pytest.approx((1.1 + 2) / 2)
    assert rows["mean positive activation / exact"] == pytest.approx((32 / 31 + 13 / 11) / 2)
    assert rows["mean |activation| / exact"] == pytest.approx((35 / 34 + 13 / 11) / 2)
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in zip(moved, exact, strict=True)]
    assert rows["correlation with exact"] == pytest.approx(np.mean(correlations))
    slopes = [np.polyfit(one, other, 1)[0] for one, other in zip(exact, moved, strict=True)]
    assert rows["slope of the regression on exact"] == pytest.approx(np.mean(slopes))


def test_figure16_measures_feature_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    images = figure16.load_test_images(model="lenet5")[0][:6]
    monkeypatch.setattr(figure16, "load_test_images", lambda **_: (images, torch.zeros(6)))
    result = figure16.run(QUICK)
    assert_complete(result)
    value = {(row.subject, row.quantity): row for row in result.rows}
    for quantity in (figure16.IMPORTANT_QUANTITY, "correlation with exact"):
        assert value["axfpm", quantity].measured == pytest.approx(value[CONTROL, quantity].measured, abs=1e-5)
    assert result.verdict == "reproduced"
    own = design("heap").label
    other = changed(result.rows, own, figure16.IMPORTANT_QUANTITY, 1.01)
    assert figure16.conclude(other)[0] == "reproduced in direction"
    assert figure16.conclude(changed(other, "axfpm_tiled", figure16.IMPORTANT_QUANTITY, 0.9))[0] == "not reproduced"


def test_feature_maps_are_laid_out_row_by_row() -> None:
    mosaic = figure16._mosaic(np.arange(3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2))
    empty = math.nan
    expected = [[0, 1, empty, 4, 5], [2, 3, empty, 6, 7], [empty] * 5, [8, 9, *[empty] * 3], [10, 11, *[empty] * 3]]
    assert np.array_equal(mosaic, expected, equal_nan=True)


# ---- wiring


def test_every_wiring_is_listed_once() -> None:
    structures = list(wiring.wirings())
    # Ripple arrays: ports and half adders; the three others a final adder too; untiled, and tiled normalised both ways.
    assert len(structures) == 3 * (6 * 2 + 3 * 6 * 2 * 2)
    assert len(set(structures)) == len(structures)
    assert {design(name) for name in wiring.NAMED} <= set(structures)


def test_a_screen_serves_the_released_normalisation() -> None:
    subject = design("axfpm_released")
    products = Screen(subject, samples=2000, seed=3).products(subject)
    x, w = uniform01(3, 0, 2000)
    assert [float(value) for value in products] == [
        tiled(float(a), float(b), released=True) for a, b in zip(x, w, strict=True)
    ]


@pytest.fixture
def ripple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "TOPOLOGIES", ("ripple_array",))
    heap = replace(wiring.PUBLISHED["HEAP"], cells=("ama4",))
    monkeypatch.setattr(wiring, "PUBLISHED", {**wiring.PUBLISHED, "HEAP": heap})


@pytest.mark.usefixtures("ripple")
def test_behaviours_are_what_multiplying_tells_apart() -> None:
    found = wiring.screen_all(1500)
    x, w = uniform01(0, 0, 1500)
    exact = x.astype(float) * w
    for name, cell in (("Ax-FPM", "ama5"), ("HEAP", "ama4")):
        designs = [replace(entry, placement=cell) for entry in wiring.wirings()]
        results = np.array([entry.multiply(x, w) for entry in designs], dtype=float)
        assert len(found[name]) == len(np.unique(results, axis=0))
        row = dict(zip(designs, results, strict=True))
        assert sum(len(each.wirings) for each in found[name]) == len(designs) == 36
        for each in found[name]:
            own = row[each.wirings[0]]
            assert all(np.array_equal(row[entry], own) for entry in each.wirings)
            e = own - exact
            assert each.errors.ratio == pytest.approx(np.abs(e).sum() / exact.sum())
            assert each.errors.mean == pytest.approx((np.abs(e) / exact).mean())
            assert each.errors.nmed == pytest.approx(np.abs(e).mean())
            assert each.errors.larger == pytest.approx(100 * (own > exact).mean())
    target = wiring.PUBLISHED["Ax-FPM"]
    distances = [target.distance(each.errors.ratio, each.errors.larger) for each in found["Ax-FPM"]]
    assert distances == sorted(distances)


def test_distance_and_digits_by_hand() -> None:
    target = wiring.PUBLISHED["Ax-FPM"]
    assert target.distance(0.33, 96) == 0
    assert target.distance(0.33 * 1.03, 96 * 0.96) == pytest.approx(0.05)
    assert target.has_errors(0.3251, 0.0849)
    assert not target.has_errors(0.3249, 0.08)
    assert not target.has_errors(0.33, 0.0851)
    assert target.has_share(95.51)
    assert not target.has_share(95.49)


def test_what_is_near_in_any_way_is_measured_again() -> None:
    target = wiring.PUBLISHED["Ax-FPM"]
    far = wiring.Errors(0.5, 0.5, 0.125, 20)
    near = [
        far,
        replace(far, ratio=0.3395, nmed=0.0849),
        replace(far, mean=0.3205, nmed=0.0849),
        replace(far, larger=95.1),
    ]
    rest = [replace(far, ratio=0.33), replace(far, nmed=0.08), replace(far, larger=94.9)]
    behaviours = [wiring.Behaviour((), errors) for errors in (*near, *rest)]
    assert wiring.worth_measuring(target, behaviours, 1) == behaviours[:4]


def test_only_halved_results_are_not_larger() -> None:
    x, w = (values.astype(float) for values in uniform01(0, 0, CHUNK))
    plain, released = (
        np.array([tiled(a, b, released=kind) for a, b in zip(x, w, strict=True)]) for kind in (False, True)
    )
    rows = {row.quantity: row.measured for row in wiring.overflows()}
    smaller = released <= x * w
    assert rows[wiring.HALVED] == pytest.approx(100 * (plain != released).mean())
    assert rows[wiring.SMALLER_HALVED] == pytest.approx(100 * (plain != released)[smaller].mean())


@pytest.mark.usefixtures("ripple", "small")
def test_wiring_ranks_every_port_assignment() -> None:
    result = wiring.run(QUICK)
    assert_complete(result)
    value = {(row.subject, row.quantity): row for row in result.rows}
    assert value["wirings for Ax-FPM", "evaluated"].measured == 36
    first, second = (value[f"Ax-FPM, rank {rank}", "distance"].measured for rank in (1, 2))
    assert first <= second
    assert "axfpm among them) have MRED .33 and NMED .08" in result.reason
    assert "axfpm_released among them) have 96 % larger" in result.reason
    found = {row.subject: row for row in result.rows if row.quantity == "larger in magnitude"}
    expected = error_metrics(design("axfpm_released"), samples=20_000)
    released = [row for row in result.rows if row.remark.startswith("axfpm_released: ")]
    assert len(released) == 1
    assert found[released[0].subject].measured == 100 * expected.larger.value


def test_the_reason_of_wiring_follows_from_what_was_found() -> None:
    metrics = error_metrics(design("axfpm"), samples=1000)

    def estimate(value: float) -> object:
        return replace(metrics.nmed, value=value)

    def behaviour(ratio: float, nmed: float, larger: float) -> tuple[wiring.Behaviour, object]:
        found = replace(
            metrics,
            mred_ratio_of_means=estimate(ratio),
            nmed=estimate(nmed),
            mred=estimate(9.0),
            larger=estimate(larger),
        )
        return wiring.Behaviour(
            (replace(design("axfpm"), ports="csp"),), wiring.Errors(ratio, 9.0, nmed, larger)
        ), found

    rows = wiring.overflows()
    heap = [behaviour(0.12, 0.03, 0.34)]
    apart = {"Ax-FPM": [behaviour(0.33, 0.08, 1.0), behaviour(0.36, 0.09, 0.96)], "HEAP": heap}
    together = {"Ax-FPM": [behaviour(0.33, 0.08, 0.96), behaviour(0.36, 0.09, 0.96)], "HEAP": heap}
    for measured, said in (
        (apart, "of 2 behaviours of AMA5 none has all"),
        (together, "of 2 behaviours of AMA5 1 has"),
    ):
        found = {name: [each for each, _ in entries] for name, entries in measured.items()}
        assert wiring.reason(found, measured, rows).startswith(said)  # type: ignore[arg-type]
