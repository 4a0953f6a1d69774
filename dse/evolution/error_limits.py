"""Error limits of an evolution: "nmed<=0.001" as a sum over operand pairs and its bound."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from circuits.errors import DesignError, unknown_name

_PATTERN = re.compile(r"\s*([a-z_]+)\s*<=\s*([0-9.eE+-]+)\s*")


@dataclass(frozen=True)
class Term:
    """A sum over operand pairs: `quantity` in `plane_kernels.COUNTERS`, of each error over its exact product if
    `relative`."""

    quantity: str
    relative: bool = False


TERMS: Mapping[str, Term] = MappingProxyType(
    {
        "med": Term("absolute"),
        "nmed": Term("absolute"),
        "mae_percent": Term("absolute"),
        "mred": Term("absolute", relative=True),
        "mred_percent": Term("absolute", relative=True),
        "error_rate": Term("wrong"),
        "bias": Term("signed"),
        "worst_case": Term("over"),
        "wce_percent": Term("over"),
    }
)
"""Metric -> the sum that it is a multiple of. `bias` limits the magnitude of the mean error."""


@dataclass(frozen=True)
class Limits:
    """Bounds on error metrics: name (in TERMS) -> largest value allowed."""

    bounds: tuple[tuple[str, float], ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The sums that must be computed, each once."""
        return tuple(dict.fromkeys(TERMS[name] for name, _ in self.bounds))

    @property
    def text(self) -> str:
        return ", ".join(f"{name}<={bound:g}" for name, bound in self.bounds)

    def means(self, widths: tuple[int, int], *, signed: bool) -> dict[Term, float]:
        """Term -> largest mean allowed over the operand pairs; for "over", the largest error allowed, an integer."""
        means: dict[Term, float] = {}
        for name, bound in self.bounds:
            mean = bound * unit(name, widths, signed=signed)
            # |e| is an integer, and no circuit of these widths has a larger one than 2^(w + v + 1).
            mean = (
                float(math.floor(min(mean, 2.0 ** (sum(widths) + 1)) + 1e-9))
                if TERMS[name].quantity == "over"
                else mean
            )
            means[TERMS[name]] = min(mean, means.get(TERMS[name], math.inf))
        return means


def unit(name: str, widths: tuple[int, int], *, signed: bool) -> float:
    """The mean (of the metric's term) that the value 1 stands for."""
    w, v = widths
    if name == "nmed":
        return float(2 ** (w + v - 2) if signed else (2**w - 1) * (2**v - 1))
    if name == "mred_percent":
        return 0.01
    return 2.0 ** (w + v) / 100 if name.endswith("_percent") else 1.0


def parse_limits(texts: Sequence[str]) -> Limits:
    """Limits from "NAME<=NUMBER"; DesignError says what is wrong with a text."""
    bounds: dict[str, float] = {}
    for text in texts:
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise DesignError(f"an error limit must be NAME<=NUMBER, but got {text!r}; write nmed<=0.001, say.")
        name, number = match.groups()
        if name not in TERMS:
            raise unknown_name("error metric", name, TERMS)
        bounds[name] = _bound(text, number)
    if not bounds:
        raise DesignError('an error limit must be given, but got none; add --error "nmed<=0.001", say.')
    return Limits(tuple(bounds.items()))


def _bound(text: str, number: str) -> float:
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not 0 <= bound < math.inf:
        raise DesignError(f"the bound of an error limit must be a number of at least 0, but got {text!r}; correct it.")
    return bound


def parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    """(metric, bounds) from "NAME=LOW:HIGH:COUNT", spaced evenly on a logarithmic scale, or from "NAME=B1,B2,..."."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not values.strip():
        raise DesignError(f"a sweep must be NAME=LOW:HIGH:COUNT or NAME=B1,B2,..., but got {text!r}; correct it.")
    if name not in TERMS:
        raise unknown_name("error metric", name, TERMS)
    if ":" not in values:
        return name, tuple(_bound(text, value) for value in values.split(","))
    parts = values.split(":")
    if len(parts) != 3 or not re.fullmatch(r"\s*[0-9]{1,4}\s*", parts[2]) or int(parts[2]) < 1:
        raise DesignError(
            f"a sweep must be NAME=LOW:HIGH:COUNT with a count of 1 to 9999, but got {text!r}; correct it."
        )
    low, high, count = _bound(text, parts[0]), _bound(text, parts[1]), int(parts[2])
    if not 0 < low <= high:
        raise DesignError(f"0 < LOW <= HIGH must hold in a sweep, but got {text!r}; correct it.")
    # Three significant digits: the bounds become names of files.
    bounds = [low * (high / low) ** (k / max(1, count - 1)) for k in range(count)]
    return name, tuple(dict.fromkeys(float(f"{bound:.3g}") for bound in bounds))
