"""Which vector instructions compiled kernels may use, and on which device networks run: choices for the sake of speed.

Neither changes the products and sums of approximate layers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from circuits.errors import DesignError, unknown_name

VARIABLE = "APPROX_CPU_FEATURES"
"""The environment variable that holds the choice, so that worker processes inherit it."""
VECTOR_BITS = {"generic": 128, "avx2": 256, "avx512": 512, "vbmi": 512}
"""Level -> width of its vectors, each level with the instructions of those before it; "generic" is what every processor
of the architecture has, "vbmi" adds AVX-512's byte permutations, which table kernels look products up with."""


def chosen_level() -> str | None:
    """The level that the environment allows; None, the highest that this processor has, where it says nothing."""
    level = os.environ.get(VARIABLE, "")
    if not level:
        return None
    if level not in VECTOR_BITS:
        raise unknown_name(f"value of {VARIABLE}", level, VECTOR_BITS)
    return level


DEVICE_VARIABLE = "APPROX_DEVICE"
"""The environment variable that holds the device on which networks run, so that worker processes inherit it."""
DEVICES = ("cpu", "cuda")


def chosen_device() -> str:
    """The device that the environment names; "cpu" where it says nothing."""
    device = os.environ.get(DEVICE_VARIABLE, "") or DEVICES[0]
    if device not in DEVICES:
        raise unknown_name(f"value of {DEVICE_VARIABLE}", device, DEVICES)
    return device


def load_driver() -> Any:
    """The library of NVIDIA's driver, by ctypes alone, so that its absence shows at once. Raises DesignError."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise DesignError(
            f"no CUDA device: the driver's library {name} cannot be loaded; install NVIDIA's driver, or compute on the "
            "CPU."
        ) from None
