"""What the registry has to know of a network: how to build it, its data set, its training recipe, its weights file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from cnn_eval.models.training_settings import TrainingSettings

__all__ = ["ModelEntry"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A network that users select by name.

    `factory` builds the deployed form, `dataset` names the data set of `cnn_eval.data` that it classifies, and `recipe`
    holds the settings with which its committed weights are trained. A network that is trained in another form gives
    that form's factory as `training_factory`, and `deploy` turns the trained network into the deployed form.
    """

    factory: Callable[[], nn.Module]
    dataset: str
    recipe: TrainingSettings
    training_factory: Callable[[], nn.Module] | None = None
    deploy: Callable[[Any], nn.Module] = lambda model: model

    @property
    def name(self) -> str:
        """The name by which users select the network."""
        return self.recipe.model

    @property
    def weights(self) -> str:
        """Name of the weights file, in `cnn_eval/weights` when committed."""
        return f"{self.name}.safetensors"
