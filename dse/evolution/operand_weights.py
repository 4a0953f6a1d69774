"""A user's operand distribution: how often each code occurs, jointly or for each operand alone."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.sampling import AUTOMATIC_EXHAUSTIVE_BITS
from circuits.errors import DesignError
from circuits.support.files import decode, read_bytes

_MAXIMUM_BYTES = 1 << 28
EXHAUSTIVE_BITS = AUTOMATIC_EXHAUSTIVE_BITS
"""Operand bits together up to which evolution looks at all pairs; beyond, at a sample."""


@dataclass(frozen=True, eq=False)
class OperandWeights:
    """Probabilities of operand codes. `joint` float64 [2^w, 2^v], or None where `first` [2^w] and `second` [2^v] are
    independent. A code is the operand's bits as an unsigned number, two's complement for signed operands."""

    joint: NDArray[np.float64] | None
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the probabilities."""
        digest = hashlib.sha256()
        for values in (self.first, self.second) if self.joint is None else (self.joint,):
            digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
        return digest.hexdigest()

    def covers(self, bits: int) -> bool:
        """Whether all pairs of `bits` bits that occur are looked at, not a sample."""
        return bits <= EXHAUSTIVE_BITS

    def of(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of each pair of codes."""
        probabilities: NDArray[np.float64] = self.first[x] * self.second[y] if self.joint is None else self.joint[x, y]
        return probabilities

    def draw(self, stream: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`count` random pairs of codes."""
        if self.joint is None:
            x, y = (stream.choice(len(p), count, p=p) for p in (self.first, self.second))
            return x.astype(np.int64), y.astype(np.int64)
        flat = stream.choice(self.joint.size, count, p=self.joint.ravel())
        x, y = np.divmod(flat.astype(np.int64), self.joint.shape[1])
        return x, y


def load_weights(path: Path, widths: tuple[int, int]) -> OperandWeights:
    """Weights from a .npy file or a .csv file of numbers (rows are first operands).

    An array [2^w, 2^v] is joint; an array [2, 2^w] for equal widths holds those of the first and of the second operand;
    an array [2^w], for equal widths, those of both. They need not sum to 1. Raises DesignError for anything else.
    """
    if path.suffix not in (".npy", ".csv"):
        raise DesignError(f"operand weights must be a .npy or .csv file, but got {path}; convert it.")
    content = read_bytes(path, limit=_MAXIMUM_BYTES, what="a file of operand weights")
    try:
        if path.suffix == ".npy":
            weights = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            weights = np.loadtxt(io.StringIO(decode(content, path, what="a file of operand weights")), delimiter=",")
        weights = np.asarray(weights, dtype=np.float64)
    except (ValueError, EOFError, TypeError) as error:
        raise DesignError(
            f"{path} must hold an array of numbers, but: {str(error).splitlines()[0]}; correct it."
        ) from None
    return weights_from(weights, widths, str(path))


def weights_from(weights: NDArray[np.float64], widths: tuple[int, int], where: str) -> OperandWeights:
    """Weights from an array as `load_weights` reads it."""
    rows, columns = (1 << width for width in widths)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise DesignError(
            f"operand weights must be numbers of at least 0, not all 0, but {where} has others; correct it."
        )
    if weights.shape == (rows, columns) and sum(widths) <= EXHAUSTIVE_BITS:
        joint = weights / weights.sum()
        return OperandWeights(joint, joint.sum(axis=1), joint.sum(axis=0))
    marginals = [weights, weights] if weights.ndim < 2 else list(weights)
    if rows != columns or len(marginals) != 2 or any(m.shape != (rows,) or not m.sum() > 0 for m in marginals):
        raise DesignError(
            f"operand weights of a {widths[0]} x {widths[1]} multiplier must have shape {rows} x {columns}"
            + (f", 2 x {rows} or {rows}" if rows == columns else "")
            + f", but {where} has {' x '.join(map(str, weights.shape))}; count the codes again."
        )
    first, second = (m / m.sum() for m in marginals)
    return OperandWeights(None, first, second)
