"""What the named designs are, as plain data: the fields of `Design` that differ from its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_AXFPM = {"placement": "ama5"}

DEFINITIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "exact": {"rounding": "nearest_even"},
        "axfpm": _AXFPM,
        "axfpm_tiled": {**_AXFPM, "tile": 4},
        "axfpm_released": {**_AXFPM, "tile": 4, "normalization": "released"},
        # Found by studies/own/heap.py: the nearest to the published fingerprint in that study's spaces.
        "heap": {
            "topology": "carry_save_array",
            "placement": {"columns": ["ama1"] * 43 + ["ama4"] * 5},
            "ports": "scp",
            "half_adders": "exact",
        },
        "bfloat16": {"topology": "booth", "format": "bfloat16"},
        **{f"ama{n}_array": {"placement": f"ama{n}"} for n in range(1, 6)},
    }
)
"""Name -> keyword arguments of `Design`, the name aside."""

NOTES: Mapping[str, str] = MappingProxyType({"heap": "reconstructed"})
"""Named designs whose cell map was not published, and what is said of them wherever their name is printed."""
