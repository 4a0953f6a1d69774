"""Progress of an audit on standard error, with the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn

from circuits.support.progress import progress_bars


class Meter:
    """A progress bar whose unit is one call of a network with all images; a context manager.

    Silent where it is not `enabled` or standard error is no terminal.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._bar = progress_bars("percent", enabled=enabled)
        self._task = self._bar.add_task("audit", total=0)
        self._total = self._before = self._stage = self._done = 0.0

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def plan(self, calls: float) -> None:
        """Announces further work."""
        self._total += calls
        self._bar.update(self._task, total=self._total)

    @contextmanager
    def stage(self, name: str, calls: float) -> Iterator[None]:
        """A part of the work announced as `calls`; at its end the bar moves by that many, however many there were."""
        self._stage, self._done = calls, 0.0
        self._bar.update(self._task, description=name)
        yield
        self._before += calls
        self._stage = self._done = 0.0
        self._bar.update(self._task, completed=self._before)

    @contextmanager
    def watch(self, networks: list[nn.Module], images: int) -> Iterator[None]:
        """Moves the bar at every call of the networks; `images`: the number of images that makes a whole call."""

        def called(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            self._done = min(self._stage, self._done + len(output) / max(1, images))
            self._bar.update(self._task, completed=self._before + self._done)

        handles = [network.register_forward_hook(called) for network in {id(n): n for n in networks}.values()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
