"""Rows of numbers that are measured on several networks, with intervals that contain the variance between networks.

Rates of one network have intervals over images, which say nothing about the next network. The mean over networks gets a
bootstrap interval: networks are drawn with replacement, then for each the images that count, and the deviations from
the mean are stretched by sqrt(k / (k - 1)), since k networks show too little of their variance. "Depends on the
network" means that the 95 % interval of one network lies on one side of a claim's limit and that of another on the
other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.support.statistics import paired_difference_interval, student_quantile, wilson
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import DEPENDS

DRAWS = 2000
"""Bootstrap samples."""
LEAST_PAIRS = 4
"""Images below which a mean difference of sizes has no interval."""
SHARE, POINTS = "%", "points"
"""Units of shares of images, and of differences of two shares. Everything else is a size with a unit of its own."""
RECORD = {"draws": DRAWS, "seed": 0, "over": "networks, then images"}
"""What the settings of a study say about the interval."""
Bits = NDArray[np.bool_]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One quantity of one victim on one network, image by image.

    `values` belong to the images that count. In units "%" and "points" they are -1, 0 or 1: whether an image is fooled,
    or what changed on it; in any other they are sizes. `interval` is that of their mean on this network alone, in the
    same unit as `mean`; None where the images are too few.
    """

    values: Reals
    interval: tuple[float, float] | None
    unit: str = SHARE
    note: str = ""

    @property
    def scale(self) -> float:
        """What the mean of the values is multiplied by for a number in `unit`."""
        return 100.0 if self.unit in (SHARE, POINTS) else 1.0

    @property
    def mean(self) -> float:
        """The mean in `unit`; 0 without images."""
        return self.scale * float(self.values.mean()) if self.values.size else 0.0


def shared(fooled: Bits) -> Measured:
    """Of the eligible images, which are fooled."""
    low, high = wilson(int(fooled.sum()), fooled.size)
    return Measured(fooled.astype(np.float64), (100 * low, 100 * high))


def changed(own: Bits, other: Bits) -> Measured:
    """On the same images, what holds for one network less what holds for the other, with the interval for pairs."""
    gained, lost = int((own & ~other).sum()), int((other & ~own).sum())
    low, high = paired_difference_interval(gained, lost, own.size)
    return Measured(own.astype(np.float64) - other, (100 * low, 100 * high), POINTS)


def differing(own: Reals, reference: Reals, unit: str) -> Measured:
    """On the same images, a size of one network less that of the other, with Student's interval; None under 4 pairs."""
    values = own - reference
    if values.size < LEAST_PAIRS:
        return Measured(values, None, unit)
    half = student_quantile(0.95, values.size - 1) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Measured(values, (float(values.mean()) - half, float(values.mean()) + half), unit)


Found = dict[tuple[str, str], Measured]
"""(victim, quantity) -> what was measured on one network."""


def found_on_each(options: StudyOptions, names: Sequence[str], measure: Callable[[str], Found]) -> dict[str, Found]:
    """Network -> measure(network). A run that was killed goes on with the networks that it has not finished."""

    def rows(name: str) -> list[Row]:
        return [_to_row(*pair) for pair in measure(name).items()]

    return {name: dict(map(_from_row, options.part(name, partial(rows, name)))) for name in names}


def over(names: Sequence[str]) -> str:
    """What follows the quantity of a mean over these networks."""
    return f"over {len(names)} networks"


@dataclass(frozen=True)
class Claimed:
    """What a study knows of a quantity of a victim.

    `published`: DA's number; `limit`: the number that a claim's direction compares with; `remark`: what else to say of
    the networks (victim, quantity, network -> what was measured on it).
    """

    published: Callable[[str, str], float | None] = lambda victim, quantity: None
    limit: Callable[[str, str], float | None] = lambda victim, quantity: None
    remark: Callable[[str, str, Mapping[str, Found]], str] = lambda victim, quantity, found: ""


def rows_of(found: Mapping[str, Found], claimed: Claimed) -> list[Row]:
    """Returns the row over all networks of each victim and quantity, then one for each network that has it."""
    rows = []
    keys = list(dict.fromkeys(key for measured in found.values() for key in measured))
    victims = list(dict.fromkeys(victim for victim, _ in keys))
    for victim, quantity in sorted(keys, key=lambda key: victims.index(key[0])):
        each = {name: measured[victim, quantity] for name, measured in found.items() if (victim, quantity) in measured}
        mean, interval = over_networks(list(each.values()))
        limit = claimed.limit(victim, quantity)
        remarks = [
            "" if limit is None else sides(list(each.values()), limit),
            claimed.remark(victim, quantity, found),
        ]
        unit = next(iter(each.values())).unit
        published = claimed.published(victim, quantity)
        remark = "; ".join(filter(None, remarks))
        rows.append(Row(victim, f"{quantity}, {over(list(found))}", mean, published, interval, unit, remark))
        for name, measured in each.items():
            note = "; ".join(filter(None, (f"{measured.values.size} images", measured.note)))
            rows.append(Row(victim, f"{quantity}, on {name}", measured.mean, None, measured.interval, unit, note))
    return rows


def sides(each: Sequence[Measured], limit: float) -> str:
    """Says on how many networks a number is surely below or above a limit; depends on the network if on both sides."""
    below = sum(m.interval is not None and m.interval[1] < limit for m in each)
    above = sum(m.interval is not None and m.interval[0] > limit for m in each)
    text = f"surely below {limit:g} on {below}, above on {above} of {len(each)}"
    return f"{DEPENDS}: {text}" if below and above else text


def over_networks(each: Sequence[Measured], *, seed: int = 0) -> tuple[float, tuple[float, float] | None]:
    """Returns the mean over networks and its bootstrap interval; none for under two networks with images."""
    networks = [measured for measured in each if measured.values.size]
    if len(networks) < 2:
        return (networks[0].mean if networks else 0.0), None
    unit, scale = networks[0].unit, networks[0].scale
    values = [measured.values for measured in networks]
    stream = np.random.default_rng(seed)
    drawn = stream.integers(0, len(values), (DRAWS, len(values)))
    means = (_means_of_signs if unit in (SHARE, POINTS) else _means_of_sizes)(values, drawn, stream)
    centre = float(np.mean([v.mean() for v in values]))
    stretched = centre + (means - centre) * math.sqrt(len(values) / (len(values) - 1))
    low, high = np.quantile(stretched, [0.025, 0.975])
    # Stretching must not lead beyond what a mean can be: a share lies in [0, 1], a difference of shares in [-1, 1].
    if unit in (SHARE, POINTS):
        low, high = np.clip([low, high], 0.0 if unit == SHARE else -1.0, 1.0)
    return scale * centre, (scale * float(low), scale * float(high))


def _means_of_signs(values: Sequence[Reals], drawn: NDArray[np.int64], stream: np.random.Generator) -> Reals:
    """The mean over each row of `drawn` networks of the mean over images, drawn with replacement, of values -1, 0, 1.

    The counts of the three among n images drawn with replacement follow the multinomial distribution.
    """
    shares = np.array([[(v == s).mean() for s in (-1, 0, 1)] for v in values])
    sizes = np.array([v.size for v in values])
    counts = stream.multinomial(sizes[drawn], shares[drawn])
    means: Reals = ((counts[..., 2] - counts[..., 0]) / sizes[drawn]).mean(1)
    return means


def _means_of_sizes(values: Sequence[Reals], drawn: NDArray[np.int64], stream: np.random.Generator) -> Reals:
    """The same for any values, image by image."""
    means = np.empty(drawn.shape)
    for network, own in enumerate(values):
        here = drawn == network
        images = stream.integers(0, own.size, (int(here.sum()), own.size))
        means[here] = own[images].mean(1)
    result: Reals = means.mean(1)
    return result


# ---- what a killed run left


def _to_row(key: tuple[str, str], measured: Measured) -> Row:
    """A row of an unfinished run: its remark holds the values, of which a finished one has only the mean."""
    record: dict[str, Any] = {"values": measured.values.tolist(), "note": measured.note}
    return Row(*key, measured.mean, None, measured.interval, measured.unit, json.dumps(record))


def _from_row(row: Row) -> tuple[tuple[str, str], Measured]:
    record = json.loads(row.remark)
    values = np.array(record["values"], dtype=np.float64)
    return (row.subject, row.quantity), Measured(values, row.interval, row.unit, record["note"])
