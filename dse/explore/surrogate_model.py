"""A surrogate of an objective: a Gaussian process over genomes, whose genes are categories.

Rasmussen, Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2. With the training genomes X, their
values y (mean 0, variance 1), the kernel k and noise s^2:

    K = k(X, X) + s^2 I          mean(x) = k(x, X) K^-1 y          variance(x) = k(x, x) - k(x, X) K^-1 k(X, x)

Genes are of two kinds: those that have a place in the array (a cell at row i and column j), and the others, which say
how all of it is built (topology, ports). A genome's features are, for every value v and place p,

    f(x)[v, p] = sum over genes g with x_g = v of r(p, g),    R = r r^T,  R(g, h) = exp(-distance(g, h)^2 / 2)

so that what is learned of a cell at one place holds for its neighbours as well; distances along a product column,
whose bits have one weight, count less. With s(x, y) = f(x) . f(y), the distance d(x, y) that follows from it, and the
weighted share e(x, y) of other genes that differ, the kernel is a sum of four parts with factors a, b, c, h:

    a exp(-e / t) exp(-d / t)  +  b exp(-e / t) s  +  c s  +  h exp(-(all genes that differ, weighted) / t)

that is: what cells do together; what they add up to in arrays that are built alike; and in all arrays; and what no
feature explains. A gene's weight is the variance that its values explain alone (as in an analysis of variance), so that
genes that hardly matter make hardly any distance. The factors and t are those of greatest marginal likelihood.

Everything is a fixed function of the training data; predictions are rounded, so that the last bits of a linear algebra
library do not decide what a search evaluates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from dse.space.search_space import Genome

__all__ = ["GenomeCode", "Surrogate"]

Floats = NDArray[np.float64]
Place = tuple[float, float]
_NOISE = 1e-3
"""Variance of the noise: the scores have none, but distinct designs may be equal in all that the kernel sees."""
_MIXES = (
    (1.0, 0.0, 0.0, 0.1, 0.5),
    (1.0, 0.0, 0.0, 0.1, 2.0),
    (1.0, 1.0, 1.0, 0.1, 0.5),
    (0.2, 4.0, 2.0, 0.1, 0.5),
    (0.2, 4.0, 2.0, 0.1, 2.0),
    (0.02, 4.0, 4.0, 0.02, 2.0),
    (0.2, 0.2, 0.2, 1.0, 0.3),
)
"""(a, b, c, h, t): what the marginal likelihood chooses from; distances over their mean."""
_LEAST_WEIGHT = 0.02
"""Of a gene that seems to explain nothing, over the mean weight: little data may hide what it does."""
_ALONG_COLUMN = 0.4
"""How much a step along a product column counts."""
_REACH = 1.5
"""Product columns over which a cell's effect is alike."""
_DIGITS = 7


class _Gram(NamedTuple):
    """Inner products of two sets of genomes: shares of equal genes, all and without a place; and of their features."""

    same: Floats
    other: Floats
    features: Floats
    distance: Floats


class GenomeCode:
    """Genomes as numbers: `bounds` of the genes; `places`: (row, column) of each gene, None where it has none."""

    def __init__(self, bounds: Genome, places: Sequence[Place | None]) -> None:
        self.bounds = bounds
        self.placed = np.array([place is not None for place in places])
        self._places = [place for place in places if place is not None]
        self._values = max((bound for bound, place in zip(bounds, places, strict=True) if place is not None), default=0)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Where the values of each gene begin in `one_hot`."""
        return np.concatenate([[0], np.cumsum(self.bounds)[:-1]]).astype(np.int64)

    @cached_property
    def _smoothing(self) -> Floats:
        """r of the module's docstring, [genes with a place, places]."""
        rows, columns = np.array(self._places, dtype=float).T
        across, along = (rows + columns) / _REACH, _ALONG_COLUMN * (rows - columns) / _REACH
        squared = (across[:, None] - across) ** 2 + (along[:, None] - along) ** 2
        factor = np.linalg.cholesky(np.exp(-squared / 2) + 1e-3 * np.eye(len(rows)))
        return np.asarray(factor / np.sqrt(len(rows)))

    def one_hot(self, genomes: NDArray[np.int64]) -> Floats:
        """float64 [n, sum of bounds]: 1 at each gene's value."""
        code = np.zeros((len(genomes), int(sum(self.bounds))))
        np.put_along_axis(code, genomes + self.first, 1.0, axis=1)
        return code

    def features(self, genomes: NDArray[np.int64]) -> Floats:
        """float64 [n, values times places]: f of the module's docstring; one column of zeros without places."""
        if not self._places:
            return np.zeros((len(genomes), 1))
        placed = genomes[:, self.placed]
        return np.concatenate([(placed == value) @ self._smoothing for value in range(self._values)], axis=1)

    def per_value(self, of_genes: Floats) -> Floats:
        """One number for each gene as one for each of its values."""
        return np.repeat(of_genes, self.bounds)


class Surrogate:
    """A model of `values` float64 [n] of the `genomes` int64 [n, genes]; not all values may be equal."""

    def __init__(self, code: GenomeCode, genomes: NDArray[np.int64], values: Floats) -> None:
        self._code = code
        self._mean, self._spread = float(values.mean()), float(values.std())
        self._y = (values - self._mean) / self._spread
        one_hot = code.one_hot(genomes)
        weights = self._explained(one_hot)
        others = np.where(code.placed, 0, weights)
        self._roots = [np.sqrt(code.per_value(each / max(each.sum(), 1e-300))) for each in (weights, others)]
        self._one_hot, self._features = one_hot, code.features(genomes)
        self._centre = self._features.mean(axis=0)
        self._features = self._features - self._centre
        self._units: tuple[float, ...] = 1.0, 1.0, 1.0
        gram = self._gram(one_hot, self._features)
        means = (1 - gram.same).mean(), np.diag(gram.features).mean(), gram.distance.mean()
        self._units = tuple(max(float(mean), 1e-9) for mean in means)
        self._mix, self._factor = self._best(self._gram(one_hot, self._features))
        self._solved = cho_solve(self._factor, self._y)

    def predict(self, genomes: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(mean, standard deviation) [n] of the values."""
        features = self._code.features(genomes) - self._centre
        kernel = self._kernel(self._gram(self._code.one_hot(genomes), features), self._mix)
        a, b, c, h, _ = self._mix
        own = a + h + (b + c) * np.einsum("ij,ij->i", features, features) / self._units[1]
        reduced = solve_triangular(self._factor[0], kernel.T, lower=True, check_finite=False)
        variance = np.maximum(own - np.einsum("ij,ij->j", reduced, reduced), 0)
        mean = self._mean + self._spread * (kernel @ self._solved)
        return _rounded(mean, self._spread), _rounded(self._spread * np.sqrt(variance), self._spread)

    def _explained(self, one_hot: Floats) -> Floats:
        """The share of the variance that each gene explains alone, less what chance explains; [genes]."""
        counts = one_hot.sum(axis=0)
        means = (self._y @ one_hot) / np.maximum(counts, 1)
        first = self._code.first
        explained = np.add.reduceat(counts * means**2, first) / len(self._y)
        chance = (np.add.reduceat((counts > 0).astype(float), first) - 1) / len(self._y)
        shares = np.maximum(explained - chance, 0)
        mean = shares.mean()
        return np.asarray(np.maximum(shares, _LEAST_WEIGHT * mean) if mean > 0 else np.ones(len(shares)))

    def _gram(self, one_hot: Floats, features: Floats) -> _Gram:
        same, other = ((one_hot * roots) @ (self._one_hot * roots).T for roots in self._roots)
        inner = features @ self._features.T
        squares = [np.einsum("ij,ij->i", each, each) for each in (features, self._features)]
        distance = np.maximum(squares[0][:, None] + squares[1] - 2 * inner, 0)
        unit = self._units
        return _Gram((1 - same) / unit[0], 1 - other, inner / unit[1], distance / unit[2])

    def _kernel(self, gram: _Gram, mix: tuple[float, ...]) -> Floats:
        a, b, c, h, t = mix
        alike = np.exp(-gram.other / t)
        together = a * np.exp(-gram.distance / t) + b * gram.features
        return np.asarray(alike * together + c * gram.features + h * np.exp(-gram.same / t))

    def _best(self, gram: _Gram) -> tuple[tuple[float, ...], Any]:
        """The mix of greatest marginal likelihood, its best scale included, and the Cholesky factor of its K."""
        best: tuple[float, tuple[float, ...], Any] | None = None
        count = len(self._y)
        for mix in _MIXES:
            kernel = self._kernel(gram, mix)
            kernel[np.diag_indices(count)] += _NOISE * sum(mix[:4])
            factor = cho_factor(kernel, lower=True, check_finite=False)
            # All parts times one factor: that of greatest likelihood is y^T K^-1 y / n.
            scale = float(self._y @ cho_solve(factor, self._y, check_finite=False)) / count
            likelihood = -count * np.log(scale) / 2 - np.log(np.diag(factor[0])).sum()
            if best is None or likelihood > best[0] + 1e-6 * abs(best[0]):
                scaled = (*(scale * part for part in mix[:4]), mix[4])
                best = likelihood, scaled, (factor[0] * np.sqrt(scale), True)
        assert best is not None
        return best[1], best[2]


def _rounded(values: Floats, unit: float) -> Floats:
    step = 10.0 ** (np.floor(np.log10(unit)) - _DIGITS)
    return np.asarray(np.round(values / step) * step)
