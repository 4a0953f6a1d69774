"""A substitute for a network that only answers queries with classes.

Papernot, McDaniel, Goodfellow, Jha, Celik, Swami, "Practical Black-Box Attacks against Machine Learning", Asia CCS
2017, section 4, algorithm 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from circuits import DesignError
from circuits.support.progress import progress_bars
from cnn_eval.attacks.shared.primitives import shift
from cnn_eval.data.image_checks import check_images
from cnn_eval.models.inference import predict
from cnn_eval.support.seeds import MAX_SEED

__all__ = ["Substitute", "SubstituteSettings", "first_images", "reinitialised", "train_substitute"]


@dataclass(frozen=True, kw_only=True)
class SubstituteSettings:
    """Settings of `train_substitute`; step, epochs, learning rate and momentum are the paper's.

    `rounds`: how often the training set is doubled (the paper's rho). `step`: length of the augmentation (the paper's
    lambda). `epochs`: epochs of training after each doubling, from the present weights.
    """

    rounds: int = 5
    step: float = 0.1
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.01
    momentum: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 0 or not self.step > 0 or self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                "rounds >= 0, step > 0, epochs >= 1 and batch_size >= 1 must hold, but got "
                f"{self.rounds}, {self.step}, {self.epochs} and {self.batch_size}; correct them."
            )
        if not self.learning_rate > 0 or not 0 <= self.momentum < 1 or not 0 <= self.seed <= MAX_SEED:
            raise ValueError(
                "learning_rate > 0, 0 <= momentum < 1 and 0 <= seed < 2**32 must hold, but got "
                f"{self.learning_rate}, {self.momentum} and {self.seed}; correct them."
            )


@dataclass(frozen=True)
class Substitute:
    """A trained `network`, and the number of `queries` that the victim answered.

    `agreement`: share of the queried images that the substitute classifies as the victim did.
    """

    network: nn.Module
    queries: int
    agreement: float


def first_images(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Indices, ascending, of `count` images to start a substitute from: equally many of each class, the last ones.

    An attacker whose images lack some classes, as a stretch of a file may, trains a poor substitute and looks harmless.
    """
    rank = torch.empty_like(labels)
    for label in sorted(set(labels.tolist())):
        places = (labels == label).nonzero()[:, 0].flip(0)
        rank[places] = torch.arange(len(places))
    return rank.argsort(stable=True)[:count].sort().values


def reinitialised(model: nn.Module, *, seed: int) -> nn.Module:
    """A copy of `model` with new random weights drawn from `seed`: all that an attacker has who knows the architecture.

    Raises DesignError where a module has weights but no `reset_parameters`.
    """
    result = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in result.named_modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            elif next(module.parameters(recurse=False), None) is not None:
                raise DesignError(
                    f"every module with weights must have reset_parameters, but {name or type(module).__name__} has "
                    "none; a substitute cannot be started from new weights: give it one."
                )
    return result


def train_substitute(
    victim: nn.Module,
    untrained: nn.Module,
    first: torch.Tensor,
    settings: SubstituteSettings = SubstituteSettings(),
    *,
    title: str | None = None,
) -> Substitute:
    """Trains a copy of `untrained` on the victim's classes of `first`, float32 [N, C, H, W] in [0, 1], and new images.

    Jacobian-based augmentation (algorithm 1, line 6): each round adds, for every image x that there is,

        x + step * sign(dF_c / dx), clipped to [0, 1],      c: the victim's class of x, F: the substitute's logits

    and asks the victim about the new images, so queries = N * 2**rounds. The paper's reservoir sampling, which saves
    queries, is not used. `title`: of the progress bar on standard error; None shows none.
    """
    check_images(first)
    if not len(first):
        raise DesignError("the substitute must have images to start from, but there are none; give some.")
    network = copy.deepcopy(untrained).train()
    generator = torch.Generator().manual_seed(settings.seed)
    images, answers = first, predict(victim, first)
    with progress_bars(enabled=title is not None) as bars, torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # for dropout
        total = sum(len(first) << k for k in range(settings.rounds + 1)) * settings.epochs
        task = bars.add_task(title or "", total=total)
        for number in range(settings.rounds + 1):
            if number:
                images, answers = _augmented(network, victim, images, answers, settings.step)
            _fit(network, images, answers, settings, generator, lambda done: bars.advance(task, done))
    network.eval()
    agreement = float((predict(network, images) == answers).float().mean())
    return Substitute(network, len(images), agreement)


def _augmented(
    network: nn.Module, victim: nn.Module, images: torch.Tensor, answers: torch.Tensor, step: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The images with as many new ones, and the victim's answers to all."""
    network.eval()
    augmented = []
    for x, y in zip(torch.split(images, 500), torch.split(answers, 500), strict=True):
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(leaf).gather(1, y[:, None]).sum(), leaf)
        augmented.append(shift(x, gradient.sign(), step))
    network.train()
    new = torch.cat(augmented)
    return torch.cat([images, new]), torch.cat([answers, predict(victim, new)])


def _fit(
    network: nn.Module,
    images: torch.Tensor,
    answers: torch.Tensor,
    settings: SubstituteSettings,
    generator: torch.Generator,
    advance: Callable[[int], object],
) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    for _ in range(settings.epochs):
        for chosen in torch.split(torch.randperm(len(images), generator=generator), settings.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[chosen]), answers[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            advance(len(chosen))
