"""The common face of all attacks: validation, batches, bounds and norms here; an attack implements only how it crafts.

Two modes. *budget*: the attack spends a perturbation of at most `epsilon` in its norm. *minimum*: it looks, image by
image, for the smallest perturbation that fools. Either way success is what the model says about the result, never
assumed.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn

from circuits.errors import missing_package, unknown_name
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.models.inference import check_logits, evaluation_mode, predict

Mode = Literal["budget", "minimum"]
Norm = Literal["l0", "l2", "linf"]
Search = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
_DECISION_BASED = ("lsa", "boundary", "hopskipjump")
BATCH_SIZE = 200
"""Images attacked side by side where the caller does not say."""


class MissingExtraError(ImportError):
    """A package of an optional extra is not installed."""


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An untargeted attack with its hyperparameters as fields.

    A subclass sets `name`, `norm` and `library` and implements `_budget` and `_minimum`; both get one batch, a model in
    evaluation mode whose parameters need no gradient, and may not look at other images of the batch. An attack that is
    written here sets `library` to "" and raises `version` whenever its results change; one that only asks for logits or
    decisions sets `follows_gradient` to False.
    """

    name: ClassVar[str]
    norm: ClassVar[Norm]
    library: ClassVar[str] = "foolbox"
    version: ClassVar[int] = 1
    follows_gradient: ClassVar[bool] = True

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
        with evaluation_mode(model):  # Foolbox would pile up gradients of parameters in `.grad`
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
        """All that decides a run beside model and images, ready for JSON: name, norm, mode, budget, hyperparameters."""
        return {
            "attack": self.name,
            "norm": self.norm,
            "mode": mode,
            "epsilon": epsilon,
            **asdict(self),
            "library": f"{self.library} {metadata.version(self.library)}" if self.library else f"own {self.version}",
        }

    def unstarted(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Which images the attack finds no starting point for, bool [N]; they come back unchanged. Without `run`'s
        checks; only attacks that start from another image can fail so."""
        return torch.zeros(len(images), dtype=torch.bool)

    def require_library(self) -> None:
        """Raises MissingExtraError unless the attack's library is installed; `run` does too, once it comes to it."""
        if self.library == "foolbox":
            foolbox_model(nn.Identity().eval(), torch.zeros(0))

    @abstractmethod
    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        """One batch in mode "budget"."""

    @abstractmethod
    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One batch in mode "minimum"."""

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

    Mode "budget": the same search, and where its perturbation is larger than the budget the image comes back unchanged:
    it has not fooled within the budget.
    """

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        found = self._minimum(model, images, labels)
        return select(distances(images, found, self.norm) <= epsilon, found, images)

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._successes(model, images, labels, self._search)

    def _successes(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, search: Search) -> torch.Tensor:
        """What `search` finds for the images that are classified rightly; unchanged where that does not fool."""
        right = ~fooled(model, images, labels)
        result = images.clone()
        if bool(right.any()):
            found = search(model, images[right], labels[right]).detach()
            result[right] = select(fooled(model, found, labels[right]), found, images[right])
        return result

    @abstractmethod
    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Candidates for one batch of rightly classified images, in [0, 1]; those that do not fool are dropped."""


def select(chosen: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Image by image [N, C, H, W]: of `one` where `chosen`, bool [N], else of `other`."""
    return torch.where(chosen[:, None, None, None], one, other)


def generators(images: torch.Tensor, seed: int) -> list[torch.Generator]:
    """A random generator an image, from `seed` and the image's own content: no image depends on its neighbours."""
    made = []
    for image in images.detach().cpu():
        digest = hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=7, salt=seed.to_bytes(16, "big"))
        made.append(torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big")))
    return made


def check_seed(seed: int) -> None:
    """Raises ValueError for what `generators` does not take."""
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be an integer from 0 to 2**64 - 1, but got {seed}; choose another.")


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
        raise MissingExtraError(missing_package("this attack", package, "attacks")) from None
    return PyTorchModel(model, bounds=(0, 1), device=images.device)
