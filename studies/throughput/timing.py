"""How the throughput studies take times: interleaved rounds, and torch's number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


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


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs torch, and with it the approximate layers, on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
