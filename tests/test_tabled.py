"""Matrix products of narrow formats by a table: bit for bit the sums of `Design.multiply`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from circuits import Design, design, matmul
from circuits.engine import tabled

LOPSIDED = Design(format="bfloat16", topology="carry_save_array", placement="ama4", ports="scp")
DESIGNS = {
    "bfloat16": design("bfloat16"),
    "not commutative": LOPSIDED,
    "e4m3": Design(format="fp8_e4m3", placement="ama5", rounding="nearest_even"),
    "overflowing tiles": Design(format="bfloat16", placement="ama5", tile=4),
}


def values(shape: tuple[int, int], seed: int, scale: float = 1.0) -> NDArray[np.float32]:
    stream = np.random.default_rng(seed)
    found = (scale * stream.standard_normal(shape)).astype(np.float32)
    found[stream.random(shape) < 0.1] = 0
    return found


def expected(subject: Design, x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    sums = np.zeros((len(x), w.shape[1]), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(x.shape[1]):
            sums += subject.multiply(x[:, k, None], w[None, k])
    return sums


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-37, 1e30])
def test_sums_are_those_of_single_products(name: str, scale: float) -> None:
    # The larger scales leave the normal range: there the table must not serve.
    subject = DESIGNS[name]
    x, w = values((40, 9), 1, scale), values((9, 7), 2, scale)
    got = matmul(subject, x, w)
    np.testing.assert_array_equal(got.view(np.uint32), expected(subject, x, w).view(np.uint32))


def test_the_table_serves_ordinary_operands_and_no_others() -> None:
    x, w = values((5, 4), 1), values((3, 4), 2)
    places = (np.arange(5) * 4, np.arange(4))
    assert tabled.matmul(LOPSIDED, x, w, *places) is not None
    for bad in (np.float32(np.inf), np.float32(np.nan), np.float32(3e38)):
        broken = x.copy()
        broken[2, 1] = bad
        w[0, 1] = 2
        assert tabled.matmul(LOPSIDED, broken, w, *places) is None
    assert tabled.matmul(design("axfpm"), x, w, *places) is None


def test_the_operands_do_not_commute() -> None:
    x, w = values((6, 5), 3), values((5, 6), 4)
    assert not np.array_equal(matmul(LOPSIDED, x, w), matmul(LOPSIDED, w.T.copy(), x.T.copy()).T)
