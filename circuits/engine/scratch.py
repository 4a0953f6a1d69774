"""Arrays that a thread reuses for the same purpose again and again."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_arrays = threading.local()


def scratch_array(name: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """An uninitialised array that this thread keeps under `name`: fresh memory costs more than the work on it.

    The next call with the same name returns the same memory where shape and type are the same, so the caller must be
    done with the earlier content by then.
    """
    array: NDArray[Any] | None = getattr(_arrays, name, None)
    if array is None or array.shape != shape or array.dtype != dtype:
        array = np.empty(shape, dtype=dtype)
        setattr(_arrays, name, array)
    return array
