"""The attacks of an audit: PGD that keeps its best iterate, APGD and Square from pyautoattack, random noise.

All take images and true labels as `Attack.run` does and return images in [0, 1] within the budget. An image's result
depends on the image and the seed alone, except for Square in L2 (see there). `AttackLog` judges success.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from circuits.errors import missing_package
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.shared.attack_modes import BallNorm
from cnn_eval.attacks.shared.base import MissingExtraError
from cnn_eval.attacks.shared.primitives import (
    input_gradient,
    logit_margin,
    project,
    random_start,
    steepest_direction,
    uniform_noise,
)

BATCH_SIZE = 200
"""Number of images attacked together."""
_LARGEST_SEED = 2**63
_TARGET_CLASSES = 9
"""Wrong classes that APGD-T aims at, the likeliest first, as AutoAttack's standard version does."""


class Iterates(NamedTuple):
    """The iterate of the largest logit margin over all restarts, and the last iterate of the last restart."""

    best: torch.Tensor
    last: torch.Tensor


def pgd(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    norm: BallNorm,
    epsilon: float,
    steps: int,
    restarts: int = 1,
    seed: int = 0,
) -> Iterates:
    """Projected gradient ascent on the cross-entropy J, from a random point of the ball (Madry et al., ICLR 2018).

    x_{t+1} = project(x_t + 2.5 epsilon / steps * d),    d: the steepest direction of grad J at x_t in `norm`
    """
    results = []
    for x, y in batches(images, labels):
        best, largest, point = x.clone(), torch.full((len(x),), -torch.inf), x
        for restart in range(restarts):
            point = random_start(x, norm, epsilon, seed, restart)
            for step in range(steps + 1):
                leaf = point.clone().requires_grad_()
                logits = model(leaf)
                # The margin, not the loss: it is positive exactly where the image is misclassified, and does not
                # saturate.
                reached = logit_margin(logits.detach(), y)
                better = reached > largest
                best[better], largest[better] = point[better], reached[better]
                if step == steps:  # the last iterate is looked at, not moved
                    break
                loss = nn.functional.cross_entropy(logits, y, reduction="sum")
                # A logit that overflows gives NaN, which would stay in the point for all further steps.
                gradient = torch.nan_to_num(torch.autograd.grad(loss, leaf)[0])
                # All steps together reach 2.5 radii: any point of the ball can be reached from any start.
                point = project(x, point + 2.5 / steps * epsilon * steepest_direction(gradient, norm), norm, epsilon)
        results.append((best, point))
    if not results:
        return Iterates(images, images)
    return Iterates(*(torch.cat(iterates) for iterates in zip(*results, strict=True)))


def single_step(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, norm: BallNorm, epsilon: float
) -> torch.Tensor:
    """One step of `epsilon` along the gradient's sign (linf: FGSM) or direction (l2)."""
    results = [
        project(x, x + epsilon * steepest_direction(input_gradient(model, x, y, loss="ce"), norm), norm, epsilon)
        for x, y in batches(images, labels)
    ]
    return torch.cat(results) if results else images


def apgd(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    targeted: bool,
    classes: int,
    norm: BallNorm,
    epsilon: float,
    steps: int,
    restarts: int = 1,
    seed: int = 0,
) -> torch.Tensor:
    """APGD-CE or, `targeted`, APGD-T with the DLR loss (Croce, Hein, "Reliable evaluation of adversarial robustness
    with an ensemble of diverse parameter-free attacks", ICML 2020), by pyautoattack; the clean image where it fails.

    The random start is ours, so that it follows from the image. APGD-T needs 4 classes.
    """
    _require_pyautoattack()
    from pyautoattack import autopgd_base

    base: Any = autopgd_base.APGDAttack_targeted if targeted else autopgd_base.APGDAttack

    class Seeded(base):  # type: ignore[misc]
        runs = 0

        def attack_single_run(self, x: torch.Tensor, y: torch.Tensor, x_init: torch.Tensor | None = None) -> Any:
            assert x_init is None
            # Every restart calls this once: its number gives each restart a start of its own.
            self.runs += 1
            return super().attack_single_run(x, y, x_init=random_start(x, norm, epsilon, seed, self.runs))

    options: dict[str, Any] = {"norm": _their_name(norm), "eps": epsilon, "n_iter": steps, "n_restarts": restarts}
    if targeted:
        options["n_target_classes"] = min(_TARGET_CLASSES, classes - 1)
    return _run(lambda: Seeded(model, seed=seed % _LARGEST_SEED, logger=_silent_logger(), **options), images, labels)


def square(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    norm: BallNorm,
    epsilon: float,
    queries: int,
    seed: int = 0,
) -> torch.Tensor:
    """Square, random search without gradients (Andriushchenko et al., ECCV 2020), by pyautoattack; the clean image
    where it fails.

    pyautoattack draws one sequence of windows for all images. In linf they differ by their first stripes alone, which
    are drawn here from each image; in l2 an image's signs also follow from how many images are still to be fooled, so
    that its result can depend on the set attacked.
    """
    _require_pyautoattack()
    from pyautoattack.square import SquareAttack

    class Seeded(SquareAttack):  # type: ignore[misc]
        stripes: torch.Tensor

        def attack_single_run(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            # Square's start in linf is random vertical stripes, one sign for each column (section 3 of its paper):
            # [N, C, 1, W].
            self.stripes = uniform_noise(x, seed).sign()[:, :, :1, :]
            return super().attack_single_run(x, y)

        def random_choice(self, shape: Any) -> Any:
            # Only the first draw has this shape; later ones are single windows.
            if norm == "linf" and list(shape) == list(self.stripes.shape):
                return self.stripes
            return super().random_choice(shape)

    options: dict[str, Any] = {"norm": _their_name(norm), "eps": epsilon, "n_queries": queries, "resc_schedule": False}
    with torch.no_grad():
        return _run(lambda: Seeded(model, seed=seed % _LARGEST_SEED, **options), images, labels)


def random_noise(images: torch.Tensor, *, norm: BallNorm, epsilon: float, seed: int) -> torch.Tensor:
    """Each image with random signs of size `epsilon` (linf) or a random direction of that length (l2) added."""
    if not len(images):
        return images
    return project(images, images + epsilon * steepest_direction(uniform_noise(images, seed), norm), norm, epsilon)


def batches(images: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images with their labels, BATCH_SIZE at a time; no batch, instead of an empty one, where there is no image."""
    if len(images):
        yield from zip(torch.split(images, BATCH_SIZE), torch.split(labels, BATCH_SIZE), strict=True)


def _run(make: Any, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Runs pyautoattack's attack that `make` builds, and leaves torch's global generator as it was."""
    results = []
    for x, y in batches(images, labels):
        # pyautoattack seeds torch's global generator.
        with torch.random.fork_rng(devices=[]):
            results.append(make().perturb(x.clone(), y.clone()).detach())
    return torch.cat(results) if results else images


def _their_name(norm: BallNorm) -> str:
    return {"linf": "Linf", "l2": "L2"}[norm]


def _silent_logger() -> logging.Logger:
    """Discards pyautoattack's own warning about vanishing gradients, which the audit checks itself."""
    logger = logging.getLogger("cnn_eval.audit.pyautoattack")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def require_libraries() -> None:
    """Raises MissingExtraError unless all packages that an audit needs are installed."""
    DeepFool().require_library()
    _require_pyautoattack()


def _require_pyautoattack() -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import pyautoattack  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError(missing_package("this attack", "pyautoattack", "attacks")) from None
