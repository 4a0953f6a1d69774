"""What the engine asks of a float multiplier. `Design` satisfies it; the engine itself knows no designs."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.floats.arithmetic import FloatFormat
from circuits.netlists.lut_program import Program


class FloatCircuit(Protocol):
    """A mantissa multiplier and the float rules around it (see `circuits.floats.arithmetic`).

    Hashable and equal by content, because compiled kernels and tables are cached under it. `format` and `float_format`
    are None for bare integer multipliers, for which the engine computes no float products.
    """

    @property
    def format(self) -> str | None: ...

    @property
    def float_format(self) -> FloatFormat | None: ...

    @property
    def rounding(self) -> str: ...

    @property
    def normalization(self) -> str: ...

    @property
    def subnormals(self) -> str | None: ...

    def program(self) -> Program:
        """The LUT program of the mantissa multiplier: two input buses, one output bus `product`."""

    def multiply(self, x: ArrayLike, w: ArrayLike, *, backend: str = "auto") -> NDArray[np.float32]:
        """Gate-exact float32 products (broadcast)."""

    def __hash__(self) -> int: ...
