"""Settings of every test."""

from __future__ import annotations

import os

# torch's threads wait for each other in loops: beside other load two are slower than one. Child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
