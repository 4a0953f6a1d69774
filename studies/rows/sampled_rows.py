"""Rows of numbers that are measured on a sample, each with its 95 % interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.error_types import Estimate
from circuits.support.statistics import normal_quantile, wilson
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from studies.frame.study import Row

LOSS = "accuracy less exact"
"""The quantity of `loss_row`."""


def share(count: int, total: int) -> tuple[float, tuple[float, float]]:
    """Returns a share in percent and its Wilson interval."""
    low, high = wilson(count, total)
    return 100 * count / total, (100 * low, 100 * high)


def share_row(
    subject: str, quantity: str, count: int, total: int, *, published: float | None = None, remark: str = ""
) -> Row:
    """Returns the row of the share `count` / `total` in percent; `total` must be positive."""
    percent, interval = share(count, total)
    return Row(subject, quantity, percent, published, interval, "%", remark)


def loss_row(
    subject: str, result: AccuracyResult, baseline: AccuracyResult, published: float | None, remark: str = ""
) -> Row:
    """Returns the row of an accuracy less that of the exact network on the same images, in points, with its interval.

    `published`: the same difference in DA, negative for a loss.
    """
    change, (low, high) = difference(result, baseline)
    # The difference of two numbers with two decimals has no more.
    number = None if published is None else round(published, 2)
    return Row(subject, LOSS, 100 * change, number, (100 * low, 100 * high), "points", remark or "paired")


def mean_row(subject: str, quantity: str, values: NDArray[np.float64], unit: str = "") -> Row:
    """Returns the row of the mean of at least two independent values.

    The interval is the normal one, mean +- z s / sqrt(n), with the sample standard deviation s.
    """
    mean = float(values.mean())
    half = normal_quantile(0.95) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Row(subject, quantity, mean, interval=(mean - half, mean + half), unit=unit)


def estimate_row(
    subject: str, quantity: str, estimate: Estimate, published: float | None = None, scale: float = 1.0, unit: str = ""
) -> Row:
    """Returns the row of an error metric multiplied by `scale`."""
    interval = (scale * estimate.low, scale * estimate.high)
    return Row(subject, quantity, scale * estimate.value, published, interval, unit)
