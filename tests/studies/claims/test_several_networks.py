"""Study several_networks: intervals that include the variance between networks, and claims that depend on it."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval import load_model, power_of_two_control, predict
from cnn_eval.attacks.shared.primitives import fooled
from cnn_eval.data.loading import load
from studies.frame.claim_rules import below
from studies.frame.claim_verdicts import Claim
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import DEPENDS
from studies.own.networks import several_networks
from studies.own.networks.several_networks import CLAIMED
from studies.rows.network_transfers import CONFIDENT, CONFIDENT_MORE
from studies.rows.over_networks import Found, Measured, changed, over_networks, rows_of, shared, sides


def share(fooled_images: int, images: int) -> Measured:
    return shared(np.arange(images) < fooled_images)


def test_the_interval_contains_the_variance_between_networks() -> None:
    """If networks agree it is about that of all images together; if they differ, far wider, however many images."""
    mean, interval = over_networks([share(50, 100)] * 5)
    assert interval is not None
    assert mean == 50
    # sqrt(5 / 4) times the binomial half width of 500 images, 4.4 points
    assert (interval[1] - interval[0]) / 2 == pytest.approx(1.118 * 4.38, rel=0.08)
    mean, interval = over_networks([share(fooled_images, 10_000) for fooled_images in (100, 2000, 5000, 8000, 9900)])
    assert interval is not None
    assert mean == 50
    rates = np.array([1.0, 20, 50, 80, 99])
    assert (interval[1] - interval[0]) / 2 == pytest.approx(1.96 * rates.std(ddof=1) / 5**0.5, rel=0.12)
    assert 0 <= interval[0] < 30
    assert 70 < interval[1] <= 100


def test_the_interval_is_that_of_two_step_draws() -> None:
    """Against the same bootstrap, image by image in loops."""
    each = [share(3, 10), share(10, 20), share(16, 17)]
    stream = np.random.default_rng(1)
    means = []
    for _ in range(4000):
        drawn = [each[k].values for k in stream.integers(0, 3, 3)]
        means.append(np.mean([stream.choice(values, values.size).mean() for values in drawn]))
    centre = np.mean([m.values.mean() for m in each])
    low, high = np.quantile(centre + (np.array(means) - centre) * 1.5**0.5, [0.025, 0.975])
    mean, interval = over_networks(each)
    assert interval is not None
    assert mean == pytest.approx(100 * centre)
    assert interval[0] == pytest.approx(100 * max(low, 0), abs=2.5)
    assert interval[1] == pytest.approx(100 * min(high, 1), abs=2.5)


def test_no_interval_without_networks_and_none_beyond_its_range() -> None:
    assert over_networks([share(0, 0), share(3, 10)]) == (30.0, None)
    assert over_networks([share(0, 0)]) == (0.0, None)
    assert over_networks([share(10, 10)] * 5)[1] == (100, 100)
    _, interval = over_networks([share(9, 10), share(10, 10)])
    assert interval is not None
    assert interval[1] == 100
    loss = changed(np.array([True, False, False, True]), np.array([True, True, True, True]))
    assert loss.values.tolist() == [0, -1, -1, 0]
    assert loss.mean == -50
    _, interval = over_networks([loss, changed(np.ones(4, bool), np.ones(4, bool))])
    assert interval is not None
    assert interval[0] < -25 < interval[1]


@pytest.mark.parametrize(
    ("fooled_images", "verdict"),
    [
        ((10, 95, 50, 50, 50), DEPENDS),
        ((10, 80, 50, 50, 50), "reproduced"),
        ((90, 95, 99, 97, 95), "not reproduced"),
        ((90, 85, 90, 97, 10), "depends on the network"),
    ],
)
def test_a_claim_depends_on_the_network_where_networks_contradict_each_other(
    fooled_images: tuple[int, ...], verdict: str
) -> None:
    """The limit is 80 %: 95 of 100 lie surely above, 10 and 50 surely below."""
    each = [share(count, 100) for count in fooled_images]
    mean, interval = over_networks(each)
    row = Row("axfpm", "FGSM, smallest, over 5 networks", mean, 12.0, interval, "%", sides(each, 80))
    claim = Claim("", "", "several_networks", "axfpm", ".*", below(80), "", "seldom", paired=True)
    assert claim.verdict([row]) == verdict


def test_rows_have_each_network_and_the_room_of_the_exact_ones() -> None:
    def found(confident: int, more: int) -> Found:
        exact = np.arange(100) < confident
        return {
            ("exact", CONFIDENT): shared(exact),
            ("axfpm", CONFIDENT_MORE): changed(np.arange(100) < confident + more, exact),
            ("axfpm", "FGSM, smallest"): share(40, 100),
            ("axfpm", "FGSM, x 1.5"): share(97, 100),
            ("heap less axfpm", "FGSM, smallest"): changed(np.arange(100) < confident, np.arange(100) < 50),
        }

    rows = {
        (row.subject, row.quantity): row
        for row in rows_of({f"net{k}": found(*pair) for k, pair in enumerate([(95, 2), (20, 30), (60, 10)])}, CLAIMED)
    }
    over = "over 3 networks"
    confident = rows["axfpm", f"{CONFIDENT_MORE}, {over}"]
    assert confident.measured == pytest.approx(14)
    assert confident.published == 54.5  # DA section 6
    assert confident.remark.endswith("room for 5 to 80 points")
    assert rows["axfpm", f"FGSM, smallest, {over}"].published == 12  # DA table 2
    assert rows["axfpm", f"FGSM, smallest, {over}"].remark == "surely below 50 on 3, above on 0 of 3"
    assert rows["axfpm", f"FGSM, x 1.5, {over}"].remark == "surely below 50 on 0, above on 3 of 3"
    assert rows["heap less axfpm", f"FGSM, smallest, {over}"].remark.startswith(
        f"{DEPENDS}: surely below 0 on 1, above"
    )
    assert rows["axfpm", f"{CONFIDENT_MORE}, on net1"].measured == 30
    assert several_networks.summary(list(rows.values()), ["net1", "net2", "net3"], several_networks.TRANSFER).endswith(
        f"{DEPENDS}: heap less axfpm, FGSM, smallest."
    )


@pytest.mark.slow
def test_each_network_is_attacked_with_examples_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(several_networks, "NETWORKS", ("lenet5_plain", "lenet5_smooth"))
    monkeypatch.setattr(several_networks, "SAMPLES", {"quick": 6})
    monkeypatch.setattr(several_networks, "CLEAN", {"quick": 40})
    monkeypatch.setattr(several_networks, "ATTACKS", {"quick": ("fgsm",)})
    result = several_networks.run(StudyOptions(level="quick"))
    rows = {(row.subject, row.quantity): row for row in result.rows}
    assert {"axfpm", "axfpm_released, all layers", "heap", "heap, matched control", "control"} <= {
        row.subject for row in result.rows
    }
    images, labels = load().images[:40], load().labels[:40]
    for name in ("lenet5_plain", "lenet5_smooth"):
        exact = load_model(name)
        control = power_of_two_control(exact)
        right = (predict(control, images) == labels).sum() - (predict(exact, images) == labels).sum()
        assert rows["control", f"accuracy less exact, on {name}"].measured == pytest.approx(100 * float(right) / 40)
        assert rows["control", f"FGSM, smallest, on {name}"].remark.endswith(" images")
        assert (
            rows["axfpm", f"FGSM, smallest, on {name}"].measured
            == rows["control", f"FGSM, smallest, on {name}"].measured
        )  # flat axfpm is its control
        assert not fooled(exact, images, predict(exact, images)).any()
    assert result.figures["png"].startswith(b"\x89PNG")
