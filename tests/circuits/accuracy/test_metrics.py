"""Error metrics against plain Python: exhaustive, sampled and over traces; determinism, intervals, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import numpy as np
import pytest

from circuits import Design, DesignError, ErrorMetrics, Estimate, UnknownNameError, design, error_metrics, error_surface
from circuits.accuracy.histograms import QUANTILES
from circuits.accuracy.sampling import CHUNK
from circuits.floats import arithmetic
from circuits.support.statistics import normal_quantile, wilson


def integer_design(w: int, v: int, cell: str = "ama4", **policy: object) -> Design:
    return Design(topology="carry_save_array", format=None, width=(w, v), placement=cell, ports="scp", **policy)


def plain(multiplier: Design, pairs: list[tuple[int, int]]) -> dict[str, float]:
    """The metrics of an integer design over `pairs`, from their definitions, one pair at a time."""
    w, v = multiplier.shape
    results = [int(multiplier.multiply_integers([x], [y])[0]) for x, y in pairs]
    errors = [r - x * y for r, (x, y) in zip(results, pairs, strict=True)]
    n = len(pairs)
    med = sum(map(abs, errors)) / n
    bias = sum(errors) / n
    ratios = [abs(e) / (x * y) for e, (x, y) in zip(errors, pairs, strict=True) if x * y]
    return {
        "med": med,
        "nmed": med / ((2**w - 1) * (2**v - 1)),
        "mred": sum(ratios) / len(ratios),
        "mred_ratio_of_means": sum(map(abs, errors)) / sum(x * y for x, y in pairs),
        "error_rate": sum(e != 0 for e in errors) / n,
        "larger": sum(e > 0 for e in errors) / n,
        "bias": bias,
        "variance": sum((e - bias) ** 2 for e in errors) / n,
        "worst_case": max(map(abs, errors)),
        "worst_relative": max(ratios),
        **{f"q{q}": sorted(map(abs, errors))[math.ceil(q * n) - 1] for q in QUANTILES},
        **{f"r{q}": sorted(ratios)[math.ceil(q * len(ratios)) - 1] for q in QUANTILES},
    }


def check(m: ErrorMetrics, expected: dict[str, float]) -> None:
    """Asserts that the metrics equal `expected`, as `plain` returns them."""
    for name, value in expected.items():
        if name[0] in "qr" and name[1:] in map(str, QUANTILES):
            got = (m.quantiles if name[0] == "q" else m.relative_quantiles)[float(name[1:])]
            assert got == pytest.approx(value, rel=2**-10), name
        else:
            got = getattr(m, name)
            assert (got.value if isinstance(got, Estimate) else got) == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize(("w", "v", "cell"), [(4, 4, "ama4"), (3, 5, "ama1"), (2, 4, "loa")])
def test_exhaustive_metrics_equal_their_definitions(w: int, v: int, cell: str) -> None:
    multiplier = integer_design(w, v, cell)
    pairs = [(x, y) for x in range(2**w) for y in range(2**v)]
    m = error_metrics(multiplier)
    check(m, plain(multiplier, pairs))
    assert (m.method, m.samples, m.seed) == ("exhaustive", 2 ** (w + v), None)
    assert m.relative_samples == sum(x * y != 0 for x, y in pairs)
    assert m.p_max == (2**w - 1) * (2**v - 1)
    for item in fields(m):
        value = getattr(m, item.name)
        if isinstance(value, Estimate):
            assert value.low == value.value == value.high
    x, y = m.worst_case_at
    assert abs(int(multiplier.multiply_integers([x], [y])[0]) - x * y) == m.worst_case
    x, y = m.worst_relative_at
    assert abs(int(multiplier.multiply_integers([x], [y])[0]) - x * y) / (x * y) == m.worst_relative


def test_mantissa_operands_of_integer_designs_have_the_leading_bit_set() -> None:
    multiplier = integer_design(4, 3)
    m = error_metrics(multiplier, distribution="mantissa")
    check(m, plain(multiplier, [(x, y) for x in range(8, 16) for y in range(4, 8)]))


def test_metrics_of_a_signed_design_equal_their_definitions() -> None:
    multiplier = Design(format=None, width=(4, 3), signed=True, placement={"columns": ["ama4"] * 3 + ["exact"] * 4})
    m = error_metrics(multiplier)
    pairs = [(x, y) for x in range(-8, 8) for y in range(-4, 4)]
    errors = [int(multiplier.multiply_integers([x], [y])[0]) - x * y for x, y in pairs]
    assert (m.p_max, m.samples) == (32, 128)
    assert m.bias.value == pytest.approx(sum(errors) / 128)
    assert m.worst_case == max(map(abs, errors))
    assert m.larger.value == sum(abs(x * y + e) > abs(x * y) for e, (x, y) in zip(errors, pairs, strict=True)) / 128
    sampled = error_metrics(multiplier, method="sampled", samples=20_000)
    assert sampled.bias.low < m.bias.value < sampled.bias.high
    assert error_surface(multiplier, bins=2).x_edges.tolist() == [-8, 0, 8]


def test_exhaustion_spans_chunks_and_is_chosen_where_feasible() -> None:
    m = error_metrics(integer_design(9, 9))
    assert (m.method, m.samples) == ("exhaustive", 2**18)
    assert m.samples > CHUNK
    sampled = error_metrics(integer_design(9, 9), method="sampled", samples=100_001)
    assert (sampled.method, sampled.samples) == ("sampled", 100_001)
    assert sampled.med.low < m.med.value < sampled.med.high
    assert error_metrics(integer_design(11, 10), samples=1000).method == "sampled"


def test_exact_cells_have_no_error() -> None:
    m = error_metrics(integer_design(6, 6, "exact"))
    assert (m.med.value, m.error_rate.value, m.worst_case, m.worst_relative) == (0, 0, 0, 0)
    assert set(m.quantiles.values()) == {0}


def test_products_beyond_64_bits_are_measured_exactly() -> None:
    """64 x 64: errors of a truncated array are small beside products that no 64-bit word holds."""
    multiplier = Design(format=None, width=64, truncate_columns=3)
    m = error_metrics(multiplier, samples=500)
    assert 0 < m.worst_case <= 1 + 2 * 2 + 3 * 4
    assert m.bias.value == -m.med.value
    assert m.p_max == pytest.approx(2.0**128)


def test_metrics_of_a_trace_equal_their_definitions() -> None:
    multiplier = integer_design(4, 4)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 16, (2, 300))
    m = error_metrics(multiplier, operands=(x, y))
    expected = plain(multiplier, list(zip(x.tolist(), y.tolist(), strict=True)))
    expected["nmed"] = expected["med"] / (x * y).max()
    check(m, expected)
    assert (m.method, m.distribution, m.samples, m.seed) == ("trace", "trace", 300, None)
    assert m.p_max == (x * y).max()
    assert m.med.low < m.med.value < m.med.high


@pytest.mark.parametrize("dtype", [np.int64, np.int8, object])
def test_a_trace_may_hold_negative_integers_of_any_type(dtype: type) -> None:
    multiplier = Design(format=None, width=(4, 3), signed=True, placement="ama1")
    x, y = np.array([-8, 7, -1, 0], dtype=dtype), np.array([-4, -4, 3, 1], dtype=dtype)
    errors = multiplier.multiply_integers(x, y) - np.array([32, -28, -3, 0])
    for backend in ("compiled", "interpreted"):
        m = error_metrics(multiplier, operands=(x, y), backend=backend)
        assert m.bias.value == errors.mean()
        assert m.worst_case == np.abs(errors).max()
        assert m.error_rate.value == np.mean(errors != 0)


def test_a_float_trace_may_hold_zeros_and_broadcast() -> None:
    x = np.array([[0.0], [-1.5], [3.0]], dtype=np.float32)
    w = np.array([2.5, -0.0, 1e-3, -4.0], dtype=np.float32)
    m = error_metrics(design("axfpm"), operands=(x, w))
    result = design("axfpm").multiply(x, w).astype(np.float64)
    exact = x.astype(np.float64) * w
    assert m.samples == 12
    assert m.relative_samples == 6
    assert m.med.value == pytest.approx(np.abs(result - exact).mean())
    assert m.bias.value == pytest.approx((result - exact).mean())
    assert m.mred.value == pytest.approx(np.mean(np.abs((result - exact)[exact != 0] / exact[exact != 0])))
    assert m.larger.value == np.mean(np.abs(result) > np.abs(exact))


def test_a_trace_of_zeros_leaves_relative_metrics_undefined() -> None:
    m = error_metrics(design("axfpm"), operands=(np.zeros(5), np.ones(5)))
    assert math.isnan(m.mred.value)
    assert math.isnan(m.mred_ratio_of_means.value)
    assert math.isnan(m.nmed.value)
    assert m.relative_samples == 0
    data = m.to_dict()
    assert data["mred"] == {"value": None, "low": None, "high": None}
    assert data["worst_relative_at"] == [None, None]
    json.dumps(data, allow_nan=False)


def test_same_seed_same_numbers_on_any_thread_count() -> None:
    for multiplier in (design("axfpm_tiled"), Design(format=None, width=12, placement="ama1")):
        one, two, five = (error_metrics(multiplier, samples=3 * CHUNK + 77, seed=3, threads=t) for t in (1, 2, 5))
        assert one.to_dict() == two.to_dict() == five.to_dict()
        assert error_metrics(multiplier, samples=1000, seed=4).med != one.med
        surfaces = [error_surface(multiplier, bins=4, samples=3 * CHUNK, threads=t).to_dict() for t in (1, 3)]
        assert surfaces[0] == surfaces[1]


@pytest.mark.parametrize(
    "multiplier",
    [
        design("heap"),
        design("axfpm_released"),
        Design(format="float16", topology="booth"),
        Design(format=None, width=12, placement="ama1"),
        Design(format=None, width=(20, 9), signed=True, placement="ama2"),
        Design(format=None, width=40, placement="ama4", topology="dadda"),
    ],
    ids=lambda multiplier: f"{multiplier.topology} {multiplier.format} {multiplier.shape}",
)
def test_same_numbers_by_every_backend(multiplier: Design) -> None:
    metrics = [
        error_metrics(multiplier, samples=3000, backend=name).to_dict() for name in ("compiled", "interpreted", "auto")
    ]
    assert metrics[0] == metrics[1] == metrics[2]
    surfaces = [error_surface(multiplier, bins=3, samples=3000, backend=name) for name in ("compiled", "interpreted")]
    assert surfaces[0].to_dict() == surfaces[1].to_dict()


def test_numbers_of_a_seed_stay_what_they_are() -> None:
    """Streams, chunking and formulas are part of the contract: a change of these numbers belongs in the changelog."""
    m = error_metrics(design("axfpm"), samples=100_000)
    assert m.nmed.value == pytest.approx(0.08309, abs=5e-6)
    assert m.mred.value == pytest.approx(0.38556, abs=5e-6)


@pytest.mark.slow
def test_intervals_cover_the_truth_95_times_in_100() -> None:
    """axfpm has closed forms (FACTS 2), so coverage can be counted: 300 runs, 95 % +- 4 standard errors."""
    truths = {"nmed": 1 / 12, "mred": 2 * math.log(2) - 1, "mred_ratio_of_means": 1 / 3, "bias": 1 / 12}
    covered = dict.fromkeys([*truths, "larger"], 0)
    multiplier, heap = design("axfpm"), design("heap")
    reference = error_metrics(heap, samples=2_000_000, seed=10**6).larger.value
    for seed in range(300):
        m = error_metrics(multiplier, samples=1500, seed=seed)
        for name, truth in truths.items():
            estimate = getattr(m, name)
            covered[name] += estimate.low <= truth <= estimate.high
        larger = error_metrics(heap, samples=1500, seed=seed).larger
        covered["larger"] += larger.low <= reference <= larger.high
    for name, count in covered.items():
        assert 270 <= count <= 298, (name, count)


def test_variance_interval_and_quantiles_of_a_known_distribution() -> None:
    """axfpm on mantissas: p = xy becomes 2x, so e = x (2 - y) with x, y uniform in [1, 2)."""
    m = error_metrics(design("axfpm"), samples=400_000, distribution="mantissa")
    variance = (7 / 3) * (1 / 3) - (3 / 4) ** 2
    assert m.variance.low <= variance <= m.variance.high
    assert m.med.low <= 3 / 4 <= m.med.high
    assert m.p_max == 4
    assert m.nmed.value == m.med.value / 4
    # The relative error is 2 / y - 1: its quantile q lies at y = 2 - q.
    for q, value in m.relative_quantiles.items():
        assert value == pytest.approx(2 / (2 - q) - 1, rel=0.01)
    assert m.worst_relative < 1
    x, w = m.worst_case_at
    assert m.worst_case == pytest.approx(x * (2 - w), rel=1e-6)


@pytest.mark.parametrize("rounding", arithmetic.ROUNDINGS)
@pytest.mark.parametrize("fmt", ["float32", "bfloat16", "float16", "fp8_e4m3", "fp8_e5m2", "e5m7"])
@pytest.mark.parametrize("subnormals", arithmetic.SUBNORMALS)
def test_correct_rounding_is_no_error(fmt: str, rounding: str, subnormals: str) -> None:
    """With exact cells the error rate is 0 in every format, also where results are subnormal or overflow."""
    multiplier = Design(format=fmt, rounding=rounding, subnormals=subnormals)
    rng = np.random.default_rng(1)
    x = np.ldexp(rng.random(4000, dtype=np.float32) - 0.5, rng.integers(-20, 20, 4000)).astype(np.float32)
    w = np.ldexp(rng.random(4000, dtype=np.float32) - 0.5, rng.integers(-140, 128, 4000)).astype(np.float32)
    m = error_metrics(multiplier, operands=(x, w))
    finite = np.isfinite(multiplier.multiply(x, w))
    assert m.error_rate.value == 0
    assert m.not_finite == np.count_nonzero(~finite) > 0
    assert error_metrics(multiplier, samples=20_000).error_rate.value == 0


def test_wrong_results_of_an_approximate_design_are_counted_against_correct_rounding() -> None:
    """One approximate column at the very bottom of the product never reaches the float32 result."""
    columns = ["ama5", *["exact"] * 47]
    m = error_metrics(Design(placement={"columns": columns}), samples=10_000)
    assert m.error_rate.value == 0
    m = error_metrics(Design(placement={"columns": [*["exact"] * 24, "ama5", *["exact"] * 23]}), samples=10_000)
    assert 0 < m.error_rate.value < 1


def test_to_dict_is_json_and_complete() -> None:
    m = error_metrics(design("heap"), samples=1000)
    data = json.loads(json.dumps(m.to_dict(), allow_nan=False))
    assert data.keys() == {item.name for item in fields(m)}
    assert data["design"] == "heap (reconstructed)"
    assert data["digest"] == design("heap").digest
    assert data["quantiles"].keys() == {str(q) for q in QUANTILES}


WIDE = Design(format=None, width=20)


@pytest.mark.parametrize(
    ("multiplier", "options", "message"),
    [
        (
            design("axfpm"),
            {"samples": 1},
            "2 <= samples <= 1000000000000 must hold, but got 1; choose an integer in that range.",
        ),
        (
            design("axfpm"),
            {"seed": -1},
            "0 <= seed <= 18446744073709551615 must hold, but got -1; choose an integer in that range.",
        ),
        (
            design("axfpm"),
            {"method": "exhaustive"},
            "method='exhaustive' needs an integer design, but got format='float32'; use 'sampled'.",
        ),
        (
            WIDE,
            {"method": "exhaustive"},
            "w + v <= 32 must hold for method='exhaustive', but got 20 + 20; use 'sampled'.",
        ),
        (
            WIDE,
            {"method": "exhaustive", "operands": ([1, 2], [3, 4])},
            "method must be 'auto' with operands=..., but got 'exhaustive'; leave one of them out.",
        ),
        (
            design("axfpm"),
            {"operands": ([1.0, math.inf], [1.0, 2.0])},
            "operands must be finite, but x holds inf; drop those pairs.",
        ),
        (
            design("axfpm"),
            {"operands": ([1.0, 2.0], [1.0, 2.0, 3.0])},
            "operands must broadcast, but have shapes (2,) and (3,); reshape one.",
        ),
        (design("axfpm"), {"operands": ([1.0], [1.0])}, "operands must hold at least 2 pairs, but hold 1; pass more."),
        (
            Design(format=None, width=4, signed=True),
            {"distribution": "mantissa"},
            "distribution 'mantissa' needs unsigned operands, but got signed=True; use 'uniform01'.",
        ),
        (WIDE, {"operands": ([1.5, 2.0], [1, 2])}, "operand x must hold integers, but has dtype float64; convert it."),
        (WIDE, {"operands": ([1, 2], [1, 2**20])}, "0 <= y < 2^20 must hold, but got 1048576; mask the operand."),
    ],
)
def test_arguments_that_do_not_suit_the_design_are_refused(
    multiplier: Design, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DesignError) as caught:
        error_metrics(multiplier, **options)
    assert str(caught.value) == message


def test_unknown_distributions_and_methods_are_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        error_metrics(design("axfpm"), distribution="uniform")
    assert str(caught.value) == ("unknown distribution 'uniform'; nearest: uniform01.")
    with pytest.raises(UnknownNameError, match="unknown method 'all'"):
        error_metrics(design("axfpm"), method="all")
    with pytest.raises(DesignError, match="1 <= bins <= 4096 must hold, but got 0"):
        error_surface(design("axfpm"), bins=0)


def test_moments_of_a_trace_are_those_of_numpy() -> None:
    """All four moments of e enter the variance's interval; a bias far from 0 makes each of them count."""
    rng = np.random.default_rng(5)
    x, w = (1 + rng.random((2, 5000))).astype(np.float32)
    multiplier = design("axfpm")
    e = multiplier.multiply(x, w).astype(float) - x.astype(float) * w
    m = error_metrics(multiplier, operands=(x, w))
    centred = e - e.mean()
    assert m.variance.value == pytest.approx((centred**2).mean(), rel=1e-9)
    half = normal_quantile(0.95) * math.sqrt(((centred**4).mean() - (centred**2).mean() ** 2) / 5000)
    assert m.variance.half_width == pytest.approx(half, rel=1e-6)
    assert m.bias.half_width == pytest.approx(normal_quantile(0.95) * e.std() / math.sqrt(5000), rel=1e-9)


def test_the_error_rate_is_of_all_pairs_the_others_of_finite_ones() -> None:
    """float16 overflows: 128,000 where 64,000 is right is infinity, which is an error but has no |e|."""
    multiplier = Design(placement="ama5", format="float16")
    x = np.array([1.5, 1.5, 500.0, 500.0, 500.0, 1.0], dtype=np.float32)
    w = np.array([1.0, 1.5, 128.0, 128.0, 128.0, 0.0], dtype=np.float32)
    result = multiplier.multiply(x, w)
    assert np.isinf(result).tolist() == [False, False, True, True, True, False]
    m = error_metrics(multiplier, operands=(x, w))
    assert (m.samples, m.not_finite, m.relative_samples) == (6, 3, 2)
    wrong = int(np.count_nonzero(result != (x * w).astype(np.float16)))
    assert wrong == 5
    assert m.error_rate == Estimate(wrong / 6, *wilson(wrong, 6))
    assert m.larger == Estimate(2 / 3, *wilson(2, 3))
    assert m.med.value == pytest.approx(float(np.abs(result[[0, 1, 5]] - x[[0, 1, 5]] * w[[0, 1, 5]]).mean()))
