"""Attack settings that keep the tests quick."""

from __future__ import annotations

QUICK: dict[str, dict[str, float]] = {
    "pgd": {"steps": 10, "bisections": 6},
    "jsma": {"gamma": 0.02},
    "cw": {"binary_search_steps": 2, "steps": 10, "initial_const": 1.0},
    "deepfool": {"steps": 5},
    "lsa": {"rounds": 4},
    "boundary": {"steps": 20},
    "hopskipjump": {"steps": 1, "initial_num_evals": 20},
    "ddn": {"steps": 10},
}
"""Attack -> settings that suffice to see how it behaves, not how strong it is."""
