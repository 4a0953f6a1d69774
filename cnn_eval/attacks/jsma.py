"""JSMA, the Jacobian-based saliency map attack: two pixels at a time, chosen from the logits' gradients.

Papernot, McDaniel, Jha, Fredrikson, Celik, Swami, "The Limitations of Deep Learning in Adversarial Settings", IEEE
EuroS&P 2016, algorithms 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack
from cnn_eval.attacks.shared.hyperparameters import hyperparameter
from cnn_eval.models.inference import logits as logits_of

_ROWS = 200
"""Number of pairs of an image and a target that share a backward pass."""


@dataclass(frozen=True, kw_only=True)
class JSMA(MinimumNormAttack):
    """Adds `theta` to the pair of values (p, q) with the largest saliency, step after step, until the image fools:

        S(p, q) = -alpha * beta    where alpha = sum over p, q of dZ_t / dx > 0  and
                                         beta  = sum over p, q of sum_{i != t} dZ_i / dx < 0       (algorithm 3)

    for a target class t. The published attack is given a target. Here, untargeted, every image is attacked towards each
    of its `targets` likeliest wrong classes in parallel, one pair a step, and the first result that is misclassified,
    as whatever class, is taken; none of those targets would have needed fewer values. By default all wrong classes of a
    data set of ten are tried. A value at its bound is left alone; each channel of a pixel counts as a value. In mode
    "minimum" at most the share `gamma` of the values changes; in mode "budget" at most `epsilon` values, whatever
    `gamma`. Theta 1 and gamma 14.5 % are the paper's.
    """

    name: ClassVar[str] = "jsma"
    norm: ClassVar[Norm] = "l0"
    library: ClassVar[str] = ""

    theta: float = hyperparameter(1.0, "what is added to a value", at_least=-1, at_most=1, nonzero=True)
    gamma: float = hyperparameter(0.145, "largest share of values to change in mode minimum", above=0, at_most=1)
    targets: int = hyperparameter(9, "likeliest wrong classes that are aimed at", at_least=1)

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        # Each pair changes two values at most, so that the budget holds.
        pairs = int(min(epsilon, images[0].numel()) // 2)
        return self._successes(model, images, labels, partial(self._descend, pairs=pairs))

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._descend(model, images, labels, int(self.gamma * images[0].numel() // 2))

    def _descend(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, pairs: int) -> torch.Tensor:
        """Changes up to `pairs` pairs; row k of `x` is the image `owner[k]` on its way to the class `target[k]`."""
        result = images.clone()
        scores = logits_of(model, images)
        targets = scores.scatter(1, labels[:, None], -torch.inf).topk(min(self.targets, scores.shape[1] - 1)).indices
        owner = torch.arange(len(images)).repeat_interleave(targets.shape[1])
        target = targets.flatten()
        x = images[owner]
        for _ in range(pairs):
            if not len(owner):
                break
            first, second, has_pair = (torch.cat(chunk) for chunk in zip(*self._pairs(model, x, target), strict=True))
            owner, target, x = owner[has_pair], target[has_pair], x[has_pair]
            flat = x.flatten(1)
            rows = torch.arange(len(x))
            for chosen in (first[has_pair], second[has_pair]):
                flat[rows, chosen] = (flat[rows, chosen] + self.theta).clamp(0, 1)
            x = flat.reshape(x.shape)
            if not len(x):
                break
            success = logits_of(model, x).argmax(1) != labels[owner]
            done = torch.zeros(len(images), dtype=torch.bool)
            # From the last to the first, so that the likeliest target wins where several succeed in the same step.
            for row in success.nonzero()[:, 0].flip(0).tolist():
                result[owner[row]] = x[row]
                done[owner[row]] = True
            unfinished = ~done[owner]
            owner, target, x = owner[unfinished], target[unfinished], x[unfinished]
        return result

    def _pairs(
        self, model: nn.Module, images: torch.Tensor, targets: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """(index of the first value, of the second, whether there is a pair) for each row, in chunks."""
        for x, target in zip(torch.split(images, _ROWS), torch.split(targets, _ROWS), strict=True):
            leaf = x.clone().requires_grad_()
            out = model(leaf)
            (towards,) = torch.autograd.grad(out.gather(1, target[:, None]).sum(), leaf, retain_graph=True)
            (of_all,) = torch.autograd.grad(out.sum(), leaf)
            # sum_{i != t} dZ_i = d(sum_i Z_i) - dZ_t, so two backward passes are enough for any number of classes.
            gains, losses = towards.flatten(1), (towards - of_all).flatten(1)
            bound = 1.0 if self.theta > 0 else 0.0
            free = x.flatten(1) != bound
            direction = 1.0 if self.theta > 0 else -1.0
            yield most_salient(direction * gains, direction * losses, free)


def most_salient(
    gains: torch.Tensor, losses: torch.Tensor, free: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The pair p < q of `free` values that maximises (gains_p + gains_q) * (losses_p + losses_q), both sums positive.

    `gains`, `losses`: float32 [N, D], what a step in the attack's direction adds to the target's logit and takes off
    the sum of the others; `free`: bool [N, D]. Returns p, q, int64 [N], and whether there is such a pair, bool [N].

    A value that two others equal or beat in both numbers can be left out: at least one of the two differs from its
    partner, and putting that one in its place lowers neither sum. A few values an image remain, so that no D x D matrix
    of pairs is needed. Sorted by gain, a value remains if its loss exceeds the second largest loss before it.
    """
    gains = gains.masked_fill(~free, -torch.inf)
    losses = losses.masked_fill(~free, -torch.inf)
    order = gains.argsort(dim=1, descending=True, stable=True)
    sorted_losses = losses.gather(1, order)
    # Running largest loss, and running second largest: the smaller of a loss and the largest before it.
    largest = sorted_losses.cummax(1).values
    before = torch.full_like(largest[:, :1], -torch.inf)
    previous = torch.cat([before, largest[:, :-1]], 1)
    second = torch.minimum(sorted_losses, previous).cummax(1).values
    undominated = sorted_losses > torch.cat([before, second[:, :-1]], 1)
    count = max(2, int(undominated.sum(1).max()))
    # A stable sort by the flag moves the undominated values to the front and keeps their order.
    rank = undominated.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    candidate = order.gather(1, rank)
    undominated = undominated.gather(1, rank)
    gain = gains.gather(1, candidate).masked_fill(~undominated, -torch.inf)
    loss = losses.gather(1, candidate).masked_fill(~undominated, -torch.inf)
    gain, loss = gain[:, :, None] + gain[:, None], loss[:, :, None] + loss[:, None]
    above = torch.ones(count, count, dtype=torch.bool).triu(1)
    allowed = (gain > 0) & (loss > 0) & above
    # A product of two negative sums would pass for a high saliency: hence both signs are asked for, as in algorithm
    # 3.
    best = (gain * loss).masked_fill(~allowed, -torch.inf).flatten(1).argmax(1)
    pair = torch.stack([best // count, best % count], 1)
    chosen = candidate.gather(1, pair).sort(1).values
    return chosen[:, 0], chosen[:, 1], allowed.flatten(1).any(1)
