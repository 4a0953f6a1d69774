"""Shows the progress of a training run, and keeps its losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from circuits.support.progress import progress_bars
from cnn_eval.models.training_loop import EpochReport
from cnn_eval.models.training_settings import TrainingSettings

__all__ = ["TrainingProgress", "training_progress"]


@dataclass(frozen=True)
class TrainingProgress:
    """What the training loop calls, and the mean training loss of each epoch trained in this run."""

    on_epoch: Callable[[EpochReport], None]
    on_batch: Callable[[int], None]
    losses: list[float] = field(default_factory=list)


@contextmanager
def training_progress(
    settings: TrainingSettings, images: int, *, verb: str = "training", enabled: bool = True
) -> Iterator[TrainingProgress]:
    """A bar over all epochs of `images` images each, on standard error where that is a terminal."""
    losses: list[float] = []
    with progress_bars(enabled=enabled, transient=False) as bars:
        task = bars.add_task(f"{verb} {settings.model}", total=settings.epochs * images)

        def report(epoch: EpochReport) -> None:
            losses.append(epoch.loss)
            bars.update(
                task, description=f"{settings.model} epoch {epoch.number}/{settings.epochs} loss {epoch.loss:.4f}"
            )

        yield TrainingProgress(report, lambda images_done: bars.update(task, completed=images_done), losses)
