"""The base class of all attacks: validation, batches, bounds and modes are here; an attack implements only its search.

Two modes. *budget*: the attack spends a perturbation of at most `epsilon` in its norm. *minimum*: it looks, image by
image, for the smallest perturbation that fools. In both, success is what the model says about the result, never
assumed.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, ClassVar, get_args

import torch
from torch import nn

from circuits.errors import missing_package, unknown_name
from cnn_eval.attacks.shared.attack_modes import Mode, Norm
from cnn_eval.attacks.shared.hyperparameters import check_hyperparameters
from cnn_eval.attacks.shared.primitives import distances, fooled, select
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.models.inference import check_logits, evaluation_mode

__all__ = ["BATCH_SIZE", "Attack", "MinimumNormAttack", "MissingExtraError", "foolbox_model"]

Search = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
_DECISION_BASED = ("lsa", "boundary", "hopskipjump")
"""Attacks that the error for a model without gradients suggests."""
BATCH_SIZE = 200
"""Number of images attacked together where the caller does not say."""


class MissingExtraError(ImportError):
    """A package of an optional extra is not installed."""


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An untargeted attack with its hyperparameters as keyword-only fields (see `hyperparameter`).

    A subclass sets `name` and `norm` and implements `_budget` and `_minimum`. Both get one batch and a model in
    evaluation mode whose parameters need no gradient, and must treat each image independently of the others.

    `library`: the package that the attack runs, "" where it is written here. `port`: package and version that a port
    reproduces bit for bit, such as "foolbox 3.3.4"; a record then names that one. An attack of our own raises `version`
    whenever its results change. `follows_gradient`: False for attacks that only ask for logits or decisions.
    """

    name: ClassVar[str]
    norm: ClassVar[Norm]
    library: ClassVar[str] = "foolbox"
    port: ClassVar[str] = ""
    version: ClassVar[int] = 1
    follows_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def run(
        self,
        model: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        mode: Mode,
        epsilon: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> torch.Tensor:
        """Adversarial images, float32 [N, C, H, W] in [0, 1], for `images` (likewise) with true `labels`, int64 [N].

        `model` maps images to logits and is attacked through its own gradients, in evaluation mode; mode and gradient
        switches are restored. `epsilon`, in the attack's norm on [0, 1] pixels, is required in mode "budget" and
        refused in mode "minimum". In mode "minimum" an image for which nothing fools, or which is misclassified
        already, comes back unchanged. The result for an image does not depend on its neighbours, up to the rounding of
        the model. Raises ValueError for arguments that break this contract, MissingExtraError where the library is not
        installed.
        """
        self._check(images, labels, mode, epsilon, batch_size)
        if not len(images):
            return images.clone()
        with evaluation_mode(model):  # Foolbox would accumulate gradients of the parameters in `.grad`
            self._check_model(model, images[:1], labels)
            results = [
                self._minimum(model, *batch) if epsilon is None else self._budget(model, *batch, epsilon)
                for batch in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
            ]
        adversarial = torch.cat(results).detach()
        assert adversarial.shape == images.shape
        assert adversarial.dtype == torch.float32
        assert bool(((adversarial >= 0) & (adversarial <= 1)).all())
        if epsilon is not None:
            # x + eps rounds to float32, so the distance may exceed eps by some units in the last place of 1.0.
            assert float(distances(images, adversarial, self.norm).max()) <= epsilon * (1 + 1e-5) + 1e-6
        return adversarial

    def settings(self, *, mode: Mode, epsilon: float | None = None) -> dict[str, Any]:
        """Everything but model and images that decides a run, ready for JSON: name, norm, mode, hyperparameters."""
        installed = f"{self.library} {metadata.version(self.library)}" if self.library else f"own {self.version}"
        return {
            "attack": self.name,
            "norm": self.norm,
            "mode": mode,
            "epsilon": epsilon,
            **asdict(self),
            "library": self.port or installed,
        }

    def unstarted(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Which images the attack finds no starting point for, bool [N]; `run` returns them unchanged.

        Only attacks that start from another image can fail so. The arguments are not checked again.
        """
        return torch.zeros(len(images), dtype=torch.bool)

    def require_library(self) -> None:
        """Raises MissingExtraError unless the attack's library is installed; `run` does too, but only on its way."""
        if self.library == "foolbox":
            foolbox_model(nn.Identity().eval(), torch.zeros(0))

    @abstractmethod
    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        """Attacks one batch in mode "budget"."""

    @abstractmethod
    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Attacks one batch in mode "minimum"."""

    def _check_model(self, model: nn.Module, first: torch.Tensor, labels: torch.Tensor) -> None:
        """ValueError where the model lacks a label's class, or a gradient that the attack needs; `first`: one image."""
        leaf = first.detach().clone().requires_grad_(self.follows_gradient)
        with torch.enable_grad():
            output = model(leaf)
        check_labels(labels, len(labels), classes=check_logits(output).shape[1])
        if output.dtype != torch.float32:
            kind = str(output.dtype).removeprefix("torch.")
            raise ValueError(f"the model must return float32 logits, but returned {kind}; return logits.float().")
        if self.follows_gradient and not output.requires_grad:
            raise ValueError(
                f"{self.name} follows the gradient of the logits, but the model's do not depend on the images in a way "
                f"that can be differentiated; use {' or '.join(_DECISION_BASED)}."
            )

    def _check(
        self, images: torch.Tensor, labels: torch.Tensor, mode: Mode, epsilon: float | None, batch_size: int
    ) -> None:
        if mode not in get_args(Mode):
            raise unknown_name("attack mode", mode, get_args(Mode))
        check_images(images)
        check_labels(labels, len(images))
        if mode == "minimum" and epsilon is not None:
            raise ValueError(f"epsilon must be left out in mode 'minimum', but got {epsilon}; or use mode 'budget'.")
        if mode == "budget" and (epsilon is None or not 0 <= epsilon < math.inf):
            raise ValueError(f"epsilon must be a number of at least 0 in mode 'budget', but got {epsilon}; give one.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but got {batch_size}; give a larger number.")


@dataclass(frozen=True, kw_only=True)
class MinimumNormAttack(Attack):
    """An attack that looks for the smallest perturbation; a subclass implements `_search`.

    Mode "budget" runs the same search. Where its perturbation is larger than the budget, the image comes back
    unchanged: the attack has not fooled the model within the budget.
    """

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        adversarial = self._minimum(model, images, labels)
        return select(distances(images, adversarial, self.norm) <= epsilon, adversarial, images)

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._successes(model, images, labels, self._search)

    def _successes(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, search: Search) -> torch.Tensor:
        """Runs `search` on the correctly classified images; an image comes back unchanged where the result fails."""
        right = ~fooled(model, images, labels)
        result = images.clone()
        if bool(right.any()):
            candidates = search(model, images[right], labels[right]).detach()
            result[right] = select(fooled(model, candidates, labels[right]), candidates, images[right])
        return result

    @abstractmethod
    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Candidates in [0, 1] for one batch of correctly classified images; those that do not fool are dropped."""


def foolbox_model(model: nn.Module, images: torch.Tensor) -> Any:
    """`model` as Foolbox wants it, with bounds [0, 1], for images where `images` are."""
    try:
        with warnings.catch_warnings():
            # Foolbox 3.3.4 imports names that SciPy has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            from foolbox.models.pytorch import PyTorchModel
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise MissingExtraError(missing_package("this attack", package, "attacks")) from None
    if any(parameter.device != images.device for parameter in model.parameters()):
        model = _Unmoved(model)
    return PyTorchModel(model, bounds=(0, 1), device=images.device)


class _Unmoved(nn.Module):
    """Keeps a network that runs elsewhere than its images are (`cnn_eval.models.devices`) from being moved to them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that it is no submodule
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        return self._model[0](images)  # type: ignore[no-any-return]  # torch types a module call as Any
