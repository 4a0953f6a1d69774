"""The common face of all attacks: validation, batches, bounds and norms here; an attack implements only how it crafts.

Two modes. *budget*: the attack spends a perturbation of at most `epsilon` in its norm. *minimum*: it looks, image by
image, for the smallest perturbation that fools. Either way success is what the model says about the result, never
assumed.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn

from circuits.errors import unknown_name
from cnn_eval.models import predict

Mode = Literal["budget", "minimum"]
Norm = Literal["l0", "l2", "linf"]
BATCH_SIZE = 200
"""Images attacked side by side where the caller does not say."""


class MissingExtraError(ImportError):
    """A package of an optional extra is not installed."""


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An untargeted attack with its hyperparameters as fields.

    A subclass sets `name`, `norm` and `library` and implements `_budget` and `_minimum`; both get one batch, a model in
    evaluation mode whose parameters need no gradient, and may not look at other images of the batch.
    """

    name: ClassVar[str]
    norm: ClassVar[Norm]
    library: ClassVar[str] = "foolbox"

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
        with _attackable(model):
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
        """All that decides a run beside model and images, ready for JSON: name, norm, mode, budget, hyperparameters."""
        return {
            "attack": self.name,
            "norm": self.norm,
            "mode": mode,
            "epsilon": epsilon,
            **asdict(self),
            "library": f"{self.library} {metadata.version(self.library)}",
        }

    @abstractmethod
    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        """One batch in mode "budget"."""

    @abstractmethod
    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One batch in mode "minimum"."""

    def _check(
        self, images: torch.Tensor, labels: torch.Tensor, mode: Mode, epsilon: float | None, batch_size: int
    ) -> None:
        if mode not in get_args(Mode):
            raise unknown_name("attack mode", mode, get_args(Mode))
        if images.ndim != 4 or images.dtype != torch.float32:
            raise ValueError(
                f"images must be float32 [N, C, H, W], but got {_kind(images)}; convert them before the attack."
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(f"labels must be int64 [{len(images)}], but got {_kind(labels)}; give one label an image.")
        # written so that NaN is refused too
        if not bool(((images >= 0) & (images <= 1)).all()):
            low, high = float(images.min()), float(images.max())
            raise ValueError(f"pixels must lie in [0, 1], but reach from {low:g} to {high:g}; scale the images first.")
        if mode == "minimum" and epsilon is not None:
            raise ValueError(f"epsilon must be left out in mode 'minimum', but got {epsilon}; or use mode 'budget'.")
        if mode == "budget" and (epsilon is None or not 0 <= epsilon < math.inf):
            raise ValueError(f"epsilon must be a number of at least 0 in mode 'budget', but got {epsilon}; give one.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but got {batch_size}; give a larger number.")


def distances(clean: torch.Tensor, adversarial: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The size of each image's perturbation, float32 [N]: largest change, Euclidean length, or changed values (l0)."""
    difference = (adversarial - clean).flatten(1)
    if norm == "linf":
        return difference.abs().amax(1)
    if norm == "l2":
        return difference.square().sum(1).sqrt()
    return (difference != 0).sum(1).to(torch.float32)


def fooled(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images the model takes for something else than their label, bool [N]."""
    return predict(model, images) != labels


def foolbox_model(model: nn.Module, images: torch.Tensor) -> Any:
    """`model` as Foolbox wants it, with bounds [0, 1], on the device of `images`."""
    try:
        with warnings.catch_warnings():
            # Foolbox 3.3.4 imports names that SciPy has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            from foolbox.models.pytorch import PyTorchModel
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise MissingExtraError(
            f"this attack needs the package {package!r}, but it is not installed; "
            "run `pip install 'approximate-dse[attacks]'`."
        ) from None
    return PyTorchModel(model, bounds=(0, 1), device=images.device)


@contextmanager
def _attackable(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and without parameter gradients (Foolbox would pile them up in `.grad`)."""
    modes = [(module, module.training) for module in model.modules()]
    needed = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in needed:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in needed:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
