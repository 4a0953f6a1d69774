"""The gate that stands for behaviour without a circuit: multiplexers of a function whose circuit is not known."""

from __future__ import annotations

from circuits.netlists.gates import MUX2, Gate

BEHAVIOUR = Gate("behaviour", ("low", "high", "select"), ("y",), MUX2.tables, 0)
"""y = high where select, else low. It belongs to no library, and its cost is not known (`UnknownCostError`)."""
