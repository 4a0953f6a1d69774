"""Quantisation schemes, one a file; `SCHEMES` names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from circuits.errors import unknown_name
from circuits.support.lazy import LazyMapping

if TYPE_CHECKING:
    from cnn_eval.quantized.schemes.scheme import Scheme

__all__ = ["SCHEMES", "check_scheme", "scheme_for"]

SCHEMES: Mapping[str, Scheme] = LazyMapping(
    {
        "int8": "cnn_eval.quantized.schemes.int8:SCHEME",
        "uint8": "cnn_eval.quantized.schemes.uint8:SCHEME",
        "sign_magnitude": "cnn_eval.quantized.schemes.sign_magnitude:SCHEME",
    }
)
"""The schemes by name."""


def check_scheme(name: str) -> None:
    """Raises UnknownNameError unless `name` is a scheme or "auto"."""
    if name not in ("auto", *SCHEMES):
        raise unknown_name("quantisation scheme", name, ("auto", *SCHEMES))


def scheme_for(*, signed: bool) -> str:
    """What "auto" means for a design: int8 for a signed one, uint8 for an unsigned one."""
    return "int8" if signed else "uint8"
