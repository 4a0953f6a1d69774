"""Times alternatives side by side, and turns them into rows of a ratio against a named baseline.

Single-threaded work is measured in thread CPU time, multithreaded work in wall time. Alternatives run interleaved, and
the fastest of several rounds counts: other load can only add time, so that the minimum is the least affected estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studies.frame.study import Row

HIGHEST_LOAD = 0.3
"""Cores that others may keep busy while two threads are compared with one."""


def best(rounds: int, clock: Callable[[], float], *actions: Callable[[], Any]) -> list[float]:
    """Returns the seconds of each action: its minimum over interleaved rounds, after one warm-up round."""
    fastest = [float("inf")] * len(actions)
    for counted in range(-1, rounds):  # round -1 warms up caches and kernels
        for k, action in enumerate(actions):
            start = clock()
            action()
            elapsed = clock() - start
            if counted >= 0:
                fastest[k] = min(fastest[k], elapsed)
    return fastest


def speed_row(
    subject: str, quantity: str, products: int, seconds: float, baseline: float, target: float | None, method: str = ""
) -> Row:
    """The speed over the baseline's, and in the remark the target if any, the products per second and the method."""
    aim = "" if target is None else f"target: at least {target:g}; "
    remark = f"{aim}{products / seconds:.3g} products/s"
    return Row(
        subject,
        quantity,
        baseline / seconds,
        unit="speed ratio",
        remark=remark + (f" by method {method}" * bool(method)),
    )


def load_of_others(seconds: float = 0.5) -> float | None:
    """Cores that other processes keep busy while this one sleeps; None where the system does not tell."""
    before = _busy_seconds()
    time.sleep(seconds)
    after = _busy_seconds()
    return None if before is None or after is None else (after - before) / seconds


def _busy_seconds() -> float | None:
    """CPU time of all cores since the machine started, idle time left out (Linux, see proc(5))."""
    import os

    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, *_ = map(int, fields)
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")
