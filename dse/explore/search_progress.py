"""Progress of a search on standard error: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from circuits.support.cli import say
from circuits.support.terminal import screen

__all__ = ["Reporter"]

LINE_SECONDS = 10.0
"""Shortest time between two plain lines."""
_STEPS_TO_JUDGE = 5
"""Number of steps after which the time left is estimated."""


class Reporter:
    """Reports stages of known length; a context manager. `enabled=False` is silent."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        console = screen(error=True)
        self._bars = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeLeftColumn(),
            console=console,
            disable=not (enabled and self._bars),
        )
        self._task: TaskID | None = None
        self._name, self._total, self._done = "", 0, 0
        self._first = self._spoken = 0.0

    def __enter__(self) -> Reporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int) -> None:
        """Begins a stage of `total` steps."""
        self._name, self._total, self._done = name, total, 0
        self._first = self._spoken = time.monotonic()
        self._task = self._progress.add_task(name, total=total)

    def advance(self) -> None:
        """Counts one step of the current stage."""
        self._done += 1
        if self._bars and self._task is not None:
            self._progress.advance(self._task)
            return
        now = time.monotonic()
        if self._done == 1:
            self._first = now
        if self._done == self._total or now - self._spoken >= LINE_SECONDS:
            self._spoken = now
            # Timed from the end of the first step, which also waited for the worker processes to start.
            pace = (now - self._first) / (self._done - 1) if self._done >= _STEPS_TO_JUDGE else None
            left = self._total - self._done
            hint = f", about {pace * left:.0f} s left" if pace is not None and left else ""
            self.say(f"{self._name}: {self._done} of {self._total}{hint}")

    def end(self, total: int) -> None:
        """Ends the current stage, which took `total` steps instead of those announced."""
        if self._task is not None:
            self._progress.update(self._task, total=total, completed=total)

    def say(self, text: str) -> None:
        """Prints a line of its own, above the bar if there is one."""
        if not self._enabled:
            return
        if self._bars:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            say(text, file=sys.stderr)
