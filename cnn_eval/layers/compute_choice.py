"""The argument `compute` of functions that compute networks through designs, and its former name `mode`."""

from __future__ import annotations

import warnings

from circuits.errors import DesignError, unknown_name
from cnn_eval.choices import COMPUTE


def compute_mode(compute: str, mode: str | None, *, level: int = 3) -> str:
    """Returns "gate" or "lowered", from the arguments `compute` and `mode` of a public function.

    `compute`: one of `COMPUTE`; "auto" is the fastest bit-accurate way, which is "gate". `mode`: the former name of the
    argument, accepted for one version with a DeprecationWarning that points `level` frames up. Raises UnknownNameError
    for another name, DesignError where both are given.
    """
    if mode is not None:
        if compute != "auto":
            raise DesignError("compute and mode mean the same and must not both be given; leave out mode.")
        warnings.warn("the argument mode is now compute; mode= works in this version", DeprecationWarning, level)
        compute = mode
    if compute not in COMPUTE:
        raise unknown_name("value of compute", compute, COMPUTE)
    return "gate" if compute == "auto" else compute
