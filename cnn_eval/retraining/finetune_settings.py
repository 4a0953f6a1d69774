"""Settings of retraining through a multiplier."""

from __future__ import annotations

from dataclasses import dataclass

from circuits import DesignError
from cnn_eval.models.training_settings import TrainingSettings

__all__ = ["FinetuneSettings"]


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(TrainingSettings):
    """`TrainingSettings` of a run that starts from a trained network, and what else determines its weights.

    By default few epochs of Adam with small steps, and images as they are. `backward`: see `approximate`; None is
    "table1d" where every integer design can be tabled, otherwise "ste". `recalibrate`: after every epoch the scales of
    quantised layers are taken anew from that many training images; 0 keeps them. `start` identifies the network before
    retraining and the images, so that a checkpoint is not continued with others; `finetune` sets it.

    Approximate layers compute in float32 and in torch's usual layout: `precision` and `channels_last` must stay.
    """

    model: str = "network"
    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 5e-4
    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    backward: str | None = None
    recalibrate: int = 0
    start: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision != "float32" or self.channels_last:
            raise DesignError(
                f"approximate layers compute in float32 with contiguous images, but got precision={self.precision!r}, "
                f"channels_last={self.channels_last}; leave both out."
            )
        if self.recalibrate < 0:
            raise DesignError(f"recalibrate must be at least 0, but is {self.recalibrate}; correct it.")
