"""The named designs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from circuits.designs.definitions import DEFINITIONS
from circuits.designs.design_library import LIBRARY
from circuits.designs.design_record import Design
from circuits.errors import unknown_name

NAMED: Mapping[str, Design] = MappingProxyType(
    {name: Design(**definition, name=name) for name, definition in DEFINITIONS.items()}
)
"""The named designs."""


def design(name: str) -> Design:
    """The named design, or that circuit of the library; UnknownNameError lists the nearest names where there is none.

    >>> design("axfpm").describe()["placement"]
    'ama5 everywhere'
    """
    if name in NAMED:
        return NAMED[name]
    if name in LIBRARY:
        return LIBRARY[name]
    # A hundred names of the library would bury the others: only what looks like one of them is compared with them.
    raise unknown_name("design", name, LIBRARY if re.match(r"[us][0-9]+", name) else NAMED)
