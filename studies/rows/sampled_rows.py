"""Rows of numbers that were measured on a sample, each with its 95 % interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.error_types import Estimate
from circuits.support.statistics import normal_quantile, wilson
from studies.frame.study import Row


def share(count: int, of: int) -> tuple[float, tuple[float, float]]:
    """A share in percent, with its Wilson interval."""
    low, high = wilson(count, of)
    return 100 * count / of, (100 * low, 100 * high)


def share_row(
    subject: str, quantity: str, count: int, of: int, *, published: float | None = None, remark: str = ""
) -> Row:
    """The row of a share, `count` of at least one, in percent."""
    percent, interval = share(count, of)
    return Row(subject, quantity, percent, published, interval, "%", remark)


def mean_row(subject: str, quantity: str, values: NDArray[np.float64], unit: str = "") -> Row:
    """The row of the mean of at least two independent `values`; the interval is that of the normal distribution."""
    mean = float(values.mean())
    half = normal_quantile(0.95) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Row(subject, quantity, mean, interval=(mean - half, mean + half), unit=unit)


def estimate_row(
    subject: str, quantity: str, estimate: Estimate, published: float | None = None, scale: float = 1.0, unit: str = ""
) -> Row:
    """The row of an error metric, times `scale`."""
    interval = (scale * estimate.low, scale * estimate.high)
    return Row(subject, quantity, scale * estimate.value, published, interval, unit)
