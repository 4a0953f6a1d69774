"""Which vector instructions compiled kernels may use: a choice for measurements, which never changes a result."""

from __future__ import annotations

import os

from circuits.errors import unknown_name

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
