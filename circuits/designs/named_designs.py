"""The named designs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.designs.definitions import DEFINITIONS
from circuits.designs.design_record import Design
from circuits.errors import unknown_name

NAMED: Mapping[str, Design] = MappingProxyType(
    {name: Design(**definition, name=name) for name, definition in DEFINITIONS.items()}
)
"""The named designs."""


def design(name: str) -> Design:
    """The named design; UnknownNameError, which lists the nearest names, where there is none.

    >>> design("axfpm").describe()["placement"]
    'ama5 everywhere'
    """
    if name not in NAMED:
        raise unknown_name("design", name, NAMED)
    return NAMED[name]
