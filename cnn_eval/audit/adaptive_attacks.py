"""The attacks of an audit: PGD that keeps its best iterate, APGD and Square from pyautoattack, random noise.

All take images and true labels as the attacks of `cnn_eval.attacks` do and give images in [0, 1] within the budget; an
image's result depends on the image and the seed alone, but for Square in L2 (see there). Success is judged elsewhere.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from circuits.errors import missing_package
from cnn_eval.attacks import DeepFool, MissingExtraError
from cnn_eval.attacks.pgd import _noise
from cnn_eval.audit.wrapped_networks import input_gradient, margin

BallNorm = Literal["linf", "l2"]
BATCH_SIZE = 200
"""Images attacked side by side."""
_LARGEST_SEED = 2**63
_TARGET_CLASSES = 9
"""Wrong classes that APGD-T aims at, the likeliest first, as AutoAttack's standard version does."""


class Iterates(NamedTuple):
    """What PGD met: the iterate of the largest logit margin (over all restarts), and the last one (of the last)."""

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
    """Projected gradient ascent of the cross-entropy: sign steps (linf) or steps of unit direction (l2), 2.5 / `steps`
    of `epsilon` long, from a random point of the ball (Madry et al., ICLR 2018)."""
    parts = []
    for x, y in batches(images, labels):
        best, largest, point = x.clone(), torch.full((len(x),), -torch.inf), x
        for restart in range(restarts):
            point = start(x, norm, epsilon, seed, restart)
            for step in range(steps + 1):
                leaf = point.clone().requires_grad_()
                logits = model(leaf)
                reached = margin(logits.detach(), y)
                better = reached > largest
                best[better], largest[better] = point[better], reached[better]
                if step == steps:
                    break
                loss = nn.functional.cross_entropy(logits, y, reduction="sum")
                gradient = torch.nan_to_num(torch.autograd.grad(loss, leaf)[0])
                point = project(x, point + 2.5 / steps * epsilon * direction(gradient, norm), norm, epsilon)
        parts.append((best, point))
    return Iterates(*(torch.cat(each) for each in zip(*parts, strict=True))) if parts else Iterates(images, images)


def single_step(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, norm: BallNorm, epsilon: float
) -> torch.Tensor:
    """One step of `epsilon` along the gradient's sign (linf: FGSM) or direction (l2)."""
    parts = [
        project(x, x + epsilon * direction(input_gradient(model, x, y, loss="ce"), norm), norm, epsilon)
        for x, y in batches(images, labels)
    ]
    return torch.cat(parts) if parts else images


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
            self.runs += 1
            return super().attack_single_run(x, y, x_init=start(x, norm, epsilon, seed, self.runs))

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
            self.stripes = _noise(x, seed).sign()[:, :, :1, :]
            return super().attack_single_run(x, y)

        def random_choice(self, shape: Any) -> Any:
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
    return project(images, images + epsilon * direction(_noise(images, seed), norm), norm, epsilon)


def batches(images: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images with their labels, BATCH_SIZE at a time; nothing where there is no image, of which torch would make an
    empty batch."""
    if len(images):
        yield from zip(torch.split(images, BATCH_SIZE), torch.split(labels, BATCH_SIZE), strict=True)


def start(images: torch.Tensor, norm: BallNorm, epsilon: float, seed: int, run: int) -> torch.Tensor:
    """A random point of each image's ball, drawn from the image, `seed` and `run`."""
    noise = _noise(images, (seed + 1_000_003 * run) % _LARGEST_SEED)
    return project(images, images + epsilon * (noise if norm == "linf" else direction(noise, norm)), norm, epsilon)


def direction(gradient: torch.Tensor, norm: BallNorm) -> torch.Tensor:
    """The step of size 1 in `norm` that follows the gradient furthest; 0 where it vanishes."""
    if norm == "linf":
        return gradient.sign()
    # Scaled first, for the squares of a vanishing gradient underflow.
    largest = _column(gradient.flatten(1).abs().amax(1))
    scaled = gradient / torch.where(largest > 0, largest, 1)
    return scaled / _column(scaled.flatten(1).norm(dim=1).clamp_min(1e-12))


def project(images: torch.Tensor, points: torch.Tensor, norm: BallNorm, epsilon: float) -> torch.Tensor:
    """The points brought into the images' balls and into [0, 1]."""
    change = points - images
    if norm == "linf":
        change = change.clamp(-epsilon, epsilon)
    else:
        change = change * (epsilon / _column(change.flatten(1).norm(dim=1).clamp_min(1e-12))).clamp_max(1)
    return (images + change).clamp(0, 1)


def _column(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]


def _run(make: Any, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """pyautoattack's attack, without a trace on torch's global generator."""
    parts = []
    for x, y in batches(images, labels):
        with torch.random.fork_rng(devices=[]):
            parts.append(make().perturb(x.clone(), y.clone()).detach())
    return torch.cat(parts) if parts else images


def _their_name(norm: BallNorm) -> str:
    return {"linf": "Linf", "l2": "L2"}[norm]


def _silent_logger() -> logging.Logger:
    """Takes pyautoattack's own check for vanishing gradients, which the audit makes itself."""
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
