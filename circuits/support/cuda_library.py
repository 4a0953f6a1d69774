"""The library of NVIDIA's driver, loaded by ctypes and nothing else, so that its absence shows at once."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from circuits.errors import DesignError


def load_driver() -> Any:
    """The library. Raises DesignError where there is none."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise DesignError(
            f"no CUDA device: the driver's library {name} cannot be loaded; install NVIDIA's driver, or compute on the "
            "CPU."
        ) from None
