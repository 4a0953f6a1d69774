"""Progress bars with the time left, on standard error; the one display of all packages."""

from __future__ import annotations

from typing import Literal

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from circuits.support.terminal import screen

__all__ = ["Unit", "progress_bars"]

Unit = Literal["steps", "percent", "bytes"]


def progress_bars(unit: Unit = "steps", *, enabled: bool = True, transient: bool = True) -> Progress:
    """A display of tasks, each with description, bar, completed work in `unit`, elapsed time and time left.

    Silent unless it is `enabled` and standard error is a terminal. A `transient` display vanishes when it stops. Use it
    as a context manager, with rich's `add_task`, `advance` and `update`.
    """
    amounts: dict[Unit, tuple[ProgressColumn, ...]] = {
        "steps": (MofNCompleteColumn(),),
        "percent": (TaskProgressColumn(),),
        "bytes": (DownloadColumn(), TransferSpeedColumn()),
    }
    console = screen(error=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts[unit],
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not (enabled and console.is_terminal),
        transient=transient,
    )
