"""What the engine asks of a float multiplier, so that it need not know designs."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.floats.arithmetic import FloatFormat
from circuits.netlists.lut_program import Program


class FloatCircuit(Protocol):
    """A mantissa multiplier and the float rules around it (see `circuits.floats.arithmetic`); `Design` is one.

    Hashable and equal by content, because compiled kernels and tables are kept by it. `float_format` is None for bare
    integer multipliers, of which the engine makes no float products.
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
