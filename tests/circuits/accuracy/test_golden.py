"""Golden values of FACTS 1 and 2, and tiled arrays against integer models written from DESIGN's text."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from multiplier_models import every_pair, products

from circuits import CELLS, AdderCell, Design, Placement, design, error_metrics
from circuits.multipliers import PORTS

# FACTS 1, entries Co S for rows A B C; the AMA columns are the equations of Gupta et al., TCAD 32(1), 2013.
FACTS_1 = """
|ABC|exact|AMA1|AMA2|AMA3|AMA4|AMA5|AXA1|AXA2|AXA3|InXA1|InXA2|InXA3|
|000|00|00|01|01|00|00|00|01|00|00|00|01|
|001|01|01|01|01|01|00|01|01|01|11|01|01|
|010|01|10|01|10|00|01|10|00|00|01|01|01|
|011|10|10|10|10|01|01|01|10|10|10|11|10|
|100|01|00|01|01|10|10|10|00|00|01|01|01|
|101|10|10|10|10|10|10|01|10|10|10|11|10|
|110|10|10|10|10|10|11|10|11|10|00|10|10|
|111|11|11|10|10|11|11|11|11|11|11|11|10|
|wrong|-|2/1|2/0|3/1|3/2|4/2|4/4|4/0|2/0|0/2|2/0|2/0|
"""


def test_cells_equal_the_table_of_facts_1() -> None:
    header, *rows, wrong = [line.strip("|").split("|") for line in FACTS_1.strip().splitlines()]
    assert [row[0] for row in rows] == [f"{r:03b}" for r in range(8)]
    exact = CELLS["exact"]
    for column, name in enumerate(header[1:], 1):
        cell = CELLS[name.lower()]
        assert cell.carry == "".join(row[column][0] for row in rows), name
        assert cell.sum == "".join(row[column][1] for row in rows), name
        counts = [
            sum(a != b for a, b in zip(*pair, strict=True))
            for pair in ((cell.sum, exact.sum), (cell.carry, exact.carry))
        ]
        assert wrong[column] in (f"{counts[0]}/{counts[1]}", "-"), name
    assert exact.is_exact


def test_the_other_cells_have_the_tables_and_transistors_of_facts_1() -> None:
    exact = CELLS["exact"]
    inverse = str.maketrans("01", "10")
    assert CELLS["afa"].behaviour == (exact.sum, "00001111")
    assert CELLS["sesa1"].behaviour == ("1" + exact.sum[1:], exact.carry)
    assert CELLS["sesa2"].behaviour == ("0" * 8, exact.carry)
    assert CELLS["sesa3"].behaviour == ("1" * 8, exact.carry)
    assert CELLS["tsaa"].behaviour == (exact.sum, exact.sum.translate(inverse))
    assert CELLS["loa"].behaviour == ("00111111", "0" * 8)
    assert CELLS["inxa3"].behaviour == CELLS["ama2"].behaviour
    transistors = [CELLS[name].transistors for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5")]
    assert transistors == [24, 20, 14, 11, 15, 8]


def mantissas(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of 24-bit integers with the leading bit set, corner values first."""
    corners = np.array([2**23, 2**23 + 1, 2**24 - 1, 2**24 - 2, 0xAAAAAA, 0x955555, 0x888888, 0x911111, 0xEEEEEE])
    pairs = np.array(list(product(corners, corners)), dtype=np.uint64)
    drawn = np.random.default_rng(seed).integers(2**23, 2**24, (count, 2), dtype=np.uint64)
    both = np.concatenate([pairs, drawn])
    return both[:, 0], both[:, 1]


def test_axfpm_equals_its_closed_form() -> None:
    """FACTS 2: P = x0*Y + 2^24 * (X & ~1) * y23."""
    for x, y in (mantissas(1, 10**6), np.random.default_rng(2).integers(0, 2**24, (2, 10**5), dtype=np.uint64)):
        one = np.uint64(1)
        expected = (x & one) * y + ((x & ~one) * (y >> np.uint64(23)) << np.uint64(24))
        np.testing.assert_array_equal(design("axfpm").multiply_integers(x, y), expected)


def test_axfpm_tiled_equals_its_closed_form() -> None:
    """FACTS 2: P = (X & 0x111111)*Y + 2*(X & 0xEEEEEE)*(Y & 0x888888)."""
    for x, y in (mantissas(3, 10**6), np.random.default_rng(4).integers(0, 2**24, (2, 10**5), dtype=np.uint64)):
        expected = (x & np.uint64(0x111111)) * y
        expected += np.uint64(2) * (x & np.uint64(0xEEEEEE)) * (y & np.uint64(0x888888))
        np.testing.assert_array_equal(design("axfpm_tiled").multiply_integers(x, y), expected)


def test_one_tile_of_axfpm_tiled_equals_its_closed_form() -> None:
    """FACTS 2: p = x0*Y + 16*y3*(X & 14), all 256 pairs."""
    x, y = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    tile = Design(format=None, width=4, placement="ama5")
    np.testing.assert_array_equal(tile.multiply_integers(x, y), (x & 1) * y + 16 * (y >> 3) * (x & 14))


def test_axfpm_ignores_the_fraction_of_the_second_operand() -> None:
    """FACTS 2: each product is x * 2^(exponent(y) + 1), up to the last bit."""
    x, y = (np.ldexp(m.astype(np.float32), -23) for m in mantissas(5, 10**5))
    np.testing.assert_array_max_ulp(design("axfpm").multiply(x, y * np.float32(8)), x * np.float32(16), maxulp=1)


def test_released_normalisation_halves_exactly_the_products_beyond_48_bits() -> None:
    """FACTS 2: P exceeds 2^48 for 4.3 % of pairs; the released emulator halves those results."""
    x, y = mantissas(6, 10**6)
    beyond = design("axfpm_tiled").multiply_integers(x, y) >> np.uint64(48) != 0
    assert beyond[81:].mean() == pytest.approx(0.043, abs=0.0005)
    x, y = (np.ldexp(m.astype(np.float32), -23) for m in (x, y))
    full, released = design("axfpm_tiled").multiply(x, y), design("axfpm_released").multiply(x, y)
    np.testing.assert_array_equal(released, np.where(beyond, full / np.float32(2), full))


def test_axfpm_tiled_gives_the_published_product() -> None:
    """FACTS 2: 0.856 * 0.471 -> 0.42608058 in float32, axfpm_tiled."""
    assert str(design("axfpm_tiled").multiply(0.856, 0.471)[()]) == "0.42608058"


def test_exact_statistics_of_axfpm() -> None:
    """FACTS 2, operands U[0, 1]: NMED 1/12, mean|error| / mean(exact) 1/3, MRED 2 ln 2 - 1, 100 % larger."""
    m = error_metrics(design("axfpm"), samples=10**6)
    assert m.p_max == 1
    for estimate, exact in ((m.nmed, 1 / 12), (m.mred_ratio_of_means, 1 / 3), (m.mred, 2 * math.log(2) - 1)):
        assert estimate.low <= exact <= estimate.high
        assert estimate.half_width < 0.001
    assert m.larger.value == 1


def test_exact_statistics_of_axfpm_tiled() -> None:
    """FACTS 2: MRED 0.412427 for normalised mantissas, which are uniform in [1, 2) within each binade of U[0, 1]."""
    for distribution in ("uniform01", "mantissa"):
        m = error_metrics(design("axfpm_tiled"), samples=10**6, distribution=distribution)
        assert m.mred.low <= 0.412427 <= m.mred.high
        assert m.larger.value == 1


def ama(number: int, topology: str, ports: str, **fields: object) -> Design:
    return Design(topology=topology, placement=f"ama{number}", ports=ports, **fields)


# FACTS 2: "axfpm_tiled" and the calibration table; MRED, NMED, share larger in percent, as printed there.
CALIBRATION = [
    (design("axfpm_tiled"), ".412", ".0903", "100"),
    (design("axfpm_released"), ".411", ".0907", "95.7"),
    (ama(5, "ripple_array", "psc"), ".386", ".083", "100"),
    (ama(5, "ripple_array", "spc"), ".307", ".083", "0"),
    (ama(5, "carry_save_array", "psc", half_adders="exact"), ".1185", ".0278", "100"),
    (ama(4, "carry_save_array", "scp"), ".142", ".0335", "33.8"),
    # Exact half adders in this row too: with "cell" 34.32 % are larger. Without tiles the policy changes no number.
    (ama(4, "carry_save_array", "scp", tile=8, half_adders="exact"), ".141", ".033", "34.2"),
    (ama(4, "carry_save_array", "scp", half_adders="exact"), ".142", ".0335", "33.8"),
    (ama(1, "carry_save_array", "csp"), ".106", ".0233", "44.1"),
]


@pytest.mark.parametrize(("multiplier", "mred", "nmed", "larger"), CALIBRATION, ids=lambda value: str(value)[:40])
def test_calibrated_designs_have_the_errors_of_facts_2(multiplier: Design, mred: str, nmed: str, larger: str) -> None:
    m = error_metrics(multiplier, samples=10**6)
    for estimate, printed, scale in ((m.mred, mred, 1), (m.nmed, nmed, 1), (m.larger, larger, 100)):
        unit = 10.0 ** -len(printed.partition(".")[2])
        assert abs(scale * estimate.value - float(printed)) <= unit / 2 + scale * estimate.half_width, printed


def test_heap_has_the_published_fingerprint() -> None:
    """DA table 8: MRED .12 (ratio of means), NMED .03; appendix A: 34 % larger; to the digits printed there."""
    heap = design("heap")
    assert heap.label == "heap (reconstructed)"
    m = error_metrics(heap, samples=4 * 10**6)
    for estimate, low, high in (
        (m.mred_ratio_of_means, 0.115, 0.125),
        (m.nmed, 0.025, 0.035),
        (m.larger, 0.335, 0.345),
    ):
        assert low <= estimate.low <= estimate.high < high
    assert len(set(heap.placement.all_cells())) == 2, "heterogeneous"


# Arrays against the models of DESIGN's text; test_multipliers.py covers the other topologies and signed operands.

TOPOLOGIES = ("ripple_array", "carry_save_array")

# Two cells whose outputs change when any two inputs swap, and one library cell.
LEFT = AdderCell("left", "01110010", "00011011")
RIGHT = AdderCell("right", "10110001", "01001101")
POOL = (LEFT, RIGHT, CELLS["ama4"])


def random_grid(w: int, v: int, seed: int) -> list[list[AdderCell]]:
    chosen = np.random.default_rng([seed, w, v]).integers(0, len(POOL), (w + 1, v))
    return [[POOL[k] for k in row] for row in chosen]


def policies(topology: str) -> list[dict[str, str]]:
    finals = ("exact", "cell") if topology == "carry_save_array" else ("exact",)
    return [
        {"ports": ports, "half_adders": half, "final_adder": final}
        for ports, half, final in product(PORTS, ("cell", "exact"), finals)
    ]


SHAPES = list(product(range(2, 6), repeat=2))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(("w", "v"), SHAPES)
def test_arrays_equal_their_model_with_mixed_cells(topology: str, w: int, v: int) -> None:
    grid = random_grid(w, v, 0)
    for policy in policies(topology):
        multiplier = Design(topology=topology, format=None, width=(w, v), placement={"grid": grid}, **policy)
        expected = products(topology, w, v, lambda i, j: grid[i][j], **policy)
        np.testing.assert_array_equal(
            multiplier.multiply_integers(*every_pair(w, v, signed=False)), expected, err_msg=str(policy)
        )


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("tile", [1, 2, 3, 4])
def test_tiled_arrays_equal_their_model(topology: str, tile: int) -> None:
    for w, v in ((5, 4), (4, 5)):
        grid = random_grid(w, v, tile)
        for policy in policies(topology)[:: 1 if tile in (2, 3) else 5]:
            multiplier = Design(
                topology=topology, format=None, width=(w, v), placement={"grid": grid}, tile=tile, **policy
            )
            expected = products(topology, w, v, lambda i, j, grid=grid: grid[i][j], tile=tile, **policy)
            np.testing.assert_array_equal(
                multiplier.multiply_integers(*every_pair(w, v, signed=False)), expected, err_msg=str(policy)
            )


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("cell", [LEFT, RIGHT, CELLS["ama5"]], ids=lambda cell: cell.name)
def test_arrays_of_one_cell_equal_their_model(topology: str, cell: AdderCell) -> None:
    for (w, v), policy in product(((3, 4), (4, 3)), policies(topology)):
        multiplier = Design(topology=topology, format=None, width=(w, v), placement=cell, **policy)
        expected = products(topology, w, v, lambda i, j: cell, **policy)
        np.testing.assert_array_equal(
            multiplier.multiply_integers(*every_pair(w, v, signed=False)), expected, err_msg=str(policy)
        )


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("tile", [None, 2, 3])
def test_arrays_of_exact_cells_multiply_exactly(topology: str, tile: int | None) -> None:
    for w, v in SHAPES:
        x, y = every_pair(w, v, signed=False)
        for policy in policies(topology)[::3]:
            if tile is not None and tile > min(w, v):
                continue
            multiplier = Design(topology=topology, format=None, width=(w, v), tile=tile, **policy)
            np.testing.assert_array_equal(multiplier.multiply_integers(x, y), x * y)
        expected = products(topology, w, v, lambda i, j: CELLS["exact"], **policies(topology)[0])
        np.testing.assert_array_equal(expected, x * y)


def test_every_policy_changes_something() -> None:
    """No argument is ignored (STYLE): each of these designs computes a different function."""
    base = {"topology": "carry_save_array", "format": None, "width": 4, "placement": Placement.of(LEFT)}
    variants: list[dict[str, object]] = [
        *({"ports": ports} for ports in PORTS),
        {"half_adders": "exact"},
        {"final_adder": "cell"},
        {"tile": 2},
        {"topology": "ripple_array"},
        {"truncate_columns": 2},
        {"placement": RIGHT},
    ]
    seen = {
        bytes(Design(**{**base, **variant}).multiply_integers(*every_pair(4, 4, signed=False))) for variant in variants
    }
    assert len(seen) == len(variants)


def test_truncated_columns_read_zero_and_the_rest_keeps_its_partial_products() -> None:
    """DESIGN: the lowest product columns are left out. With exact cells the product is the sum of what remains."""
    x, y = every_pair(5, 4, signed=False)
    for topology, cut in product(TOPOLOGIES, range(9)):
        multiplier = Design(topology=topology, format=None, width=(5, 4), truncate_columns=cut)
        expected = sum(((x >> i & 1) & (y >> j & 1)) << (i + j) for i in range(5) for j in range(4) if i + j >= cut)
        np.testing.assert_array_equal(multiplier.multiply_integers(x, y), np.broadcast_to(expected, x.shape))
