"""The steps that attacks are built from: norms, balls, margins, gradients, random starts.

Shapes throughout: images x and adversarial images x' are float32 [N, C, H, W] with pixels in [0, 1], labels y are int64
[N], logits Z are float32 [N, classes]. The ball of radius epsilon around x is {x' : |x' - x| <= epsilon}, in Linf or
L2.

Random numbers of an image come from a generator of its own, seeded with the user's seed and a digest of the pixels. So
an image's adversarial example depends neither on its neighbours in the batch, nor on the order of the images, nor on
torch's global generator: a subset of the images gives a subset of the results, and a cached example stays valid.
"""

from __future__ import annotations

import hashlib

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.attacks.shared.attack_modes import BallNorm, Norm
from cnn_eval.models.inference import predict

__all__ = [
    "broadcast",
    "distances",
    "fooled",
    "image_generators",
    "input_gradient",
    "logit_margin",
    "project",
    "random_start",
    "scale_perturbation",
    "select",
    "shift",
    "steepest_direction",
    "uniform_noise",
]

_RESTART_STRIDE = 1_000_003
_MAX_RESTART_SEED = 2**63
_SMALLEST_LENGTH = 1e-12


# ---- one value an image


def broadcast(values: torch.Tensor) -> torch.Tensor:
    """Values [N], one an image, shaped [N, 1, 1, 1] to combine with images."""
    return values[:, None, None, None]


def select(chosen: torch.Tensor, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Takes each image from `images` where `chosen`, bool [N], else from `others`."""
    return torch.where(broadcast(chosen), images, others)


def distances(clean: torch.Tensor, adversarial: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The size of each image's perturbation, float32 [N]: largest change, Euclidean length, or changed values (l0)."""
    difference = (adversarial - clean).flatten(1)
    if norm == "linf":
        return difference.abs().amax(1)
    if norm == "l2":
        return difference.square().sum(1).sqrt()
    return (difference != 0).sum(1).to(torch.float32)


# ---- what a network says


def fooled(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images the model classifies as something other than their label, bool [N]."""
    return predict(model, images) != labels


def logit_margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How far the best wrong logit exceeds the label's, max_{i != y} Z_i - Z_y, float32 [N].

    The image is classified as its label where the margin is negative; at 0 the classes tie. It is the function f6 of
    Carlini, Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017, section IV A, without the
    cut at 0; unlike the cross-entropy it does not saturate where the logits are large.
    """
    true = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(1) - true


def input_gradient(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, loss: str) -> torch.Tensor:
    """Gradient by the images of the cross-entropy ("ce") or the logit margin ("margin"), summed over the batch.

    The sum leaves each image its own gradient. Values that are not finite come back as `torch.nan_to_num` gives them.
    """
    leaf = images.detach().clone().requires_grad_()
    logits = model(leaf)
    if loss == "ce":
        value = functional.cross_entropy(logits, labels, reduction="sum")
    else:
        value = logit_margin(logits, labels).sum()
    return torch.nan_to_num(torch.autograd.grad(value, leaf)[0])


# ---- steps and balls


def steepest_direction(gradient: torch.Tensor, norm: BallNorm) -> torch.Tensor:
    """The direction d with |d| = 1 that maximises <gradient, d>; 0 where the gradient vanishes.

    Linf: d = sign(g).  L2: d = g / |g|.  For L2 the gradient is first divided by its largest entry, because the squares
    of a tiny gradient underflow in float32.
    """
    if norm == "linf":
        return gradient.sign()
    largest = broadcast(gradient.flatten(1).abs().amax(1))
    scaled = gradient / torch.where(largest > 0, largest, 1)
    return scaled / broadcast(scaled.flatten(1).norm(dim=1).clamp_min(_SMALLEST_LENGTH))


def project(images: torch.Tensor, points: torch.Tensor, norm: BallNorm, epsilon: float) -> torch.Tensor:
    """Brings `points` into the balls of radius `epsilon` around `images`, then into [0, 1].

    Linf: x + clip(p - x, -eps, eps).  L2: x + (p - x) * min(1, eps / |p - x|).  Both are the nearest point of the ball;
    the clip to [0, 1] that follows only shortens the perturbation, since x itself lies in [0, 1].
    """
    change = points - images
    if norm == "linf":
        change = change.clamp(-epsilon, epsilon)
    else:
        length = broadcast(change.flatten(1).norm(dim=1).clamp_min(_SMALLEST_LENGTH))
        change = change * (epsilon / length).clamp_max(1)
    return (images + change).clamp(0, 1)


def shift(images: torch.Tensor, direction: torch.Tensor, size: float | torch.Tensor) -> torch.Tensor:
    """x + size * direction, clipped to [0, 1]; `size`: one number, or one for each image, [N]."""
    factor = broadcast(size) if isinstance(size, torch.Tensor) else size
    return (images + factor * direction).clamp(0, 1)


def scale_perturbation(images: torch.Tensor, adversarial: torch.Tensor, factor: float) -> torch.Tensor:
    """x + factor * (x' - x), clipped to [0, 1]: the same perturbation, further past the decision boundary."""
    return shift(images, adversarial - images, factor)


# ---- random numbers that follow from an image


def image_generators(images: torch.Tensor, seed: int) -> list[torch.Generator]:
    """One random generator for each image, seeded with `seed` and the image's pixels (see the module's docstring)."""
    generators = []
    for image in images.detach().cpu():
        digest = hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=7, salt=seed.to_bytes(16, "big"))
        generators.append(torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big")))
    return generators


def uniform_noise(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Noise uniform in [-1, 1), shaped like `images`, drawn for each image from its own generator."""
    noise = [torch.rand(images.shape[1:], generator=each) * 2 - 1 for each in image_generators(images, seed)]
    return torch.stack(noise).to(images.device)


def random_start(images: torch.Tensor, norm: BallNorm, epsilon: float, seed: int, run: int) -> torch.Tensor:
    """A random point of each image's ball, drawn from the image, `seed` and the number of the restart, `run`.

    Linf: uniform in the ball. L2: on the sphere, in the direction of uniform noise.
    """
    noise = uniform_noise(images, (seed + _RESTART_STRIDE * run) % _MAX_RESTART_SEED)
    direction = noise if norm == "linf" else steepest_direction(noise, norm)
    return project(images, images + epsilon * direction, norm, epsilon)
