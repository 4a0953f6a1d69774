"""Values of the cost model's tables between their points, written out independently of the model."""

from __future__ import annotations

import numpy as np

from circuits.cost.cell_table import Technology


def at(table: np.ndarray, process: Technology, slew: float, load: float) -> float:
    """The model's interpolation written out: bilinear in slew and load, extrapolated beyond the table."""
    s = min(max(int(np.searchsorted(process.slews, slew)) - 1, 0), len(process.slews) - 2)
    c = min(max(int(np.searchsorted(process.loads, load)) - 1, 0), len(process.loads) - 2)
    ws = (slew - process.slews[s]) / (process.slews[s + 1] - process.slews[s])
    wc = (load - process.loads[c]) / (process.loads[c + 1] - process.loads[c])
    low, high = (table[s + k, c] * (1 - wc) + table[s + k, c + 1] * wc for k in (0, 1))
    return float(low * (1 - ws) + high * ws)
