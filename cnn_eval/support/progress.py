"""Progress bars with the time left, on standard error."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from circuits.support.terminal import screen


def progress_bars(*, enabled: bool) -> Progress:
    """A progress display that vanishes when done; none where it is not `enabled` or standard error is no terminal."""
    console = screen(error=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not (enabled and console.is_terminal),
        transient=True,
    )
