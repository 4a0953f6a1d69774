"""Machine code and compiled loops of the evolution: gates and errors on bit-planes, whole circuits, walks."""
