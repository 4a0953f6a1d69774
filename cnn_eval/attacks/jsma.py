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

from cnn_eval.attacks.base import MinimumNormAttack, Norm
from cnn_eval.models.inference import logits as logits_of

_ROWS = 200
"""Images and targets worked on side by side."""


@dataclass(frozen=True, kw_only=True)
class JSMA(MinimumNormAttack):
    """Adds `theta` to the pair of values that most raises a target's logit and lowers the sum of the others.

    The published attack has a target; here, untargeted, every image is attacked towards each of its `targets` most
    likely other classes side by side, a pair a step, and the first image that is misclassified, whatever as, is the
    result. So no target of those would have needed fewer values. By default all other classes of a data set of ten are
    tried. A value at its bound is left alone; a channel of a pixel counts as a value. In mode "minimum" at most the
    share `gamma` of the values changes; in mode "budget" at most `epsilon` values, whatever `gamma`. Defaults of the
    paper: theta 1 and gamma 14.5 %.
    """

    name: ClassVar[str] = "jsma"
    norm: ClassVar[Norm] = "l0"
    library: ClassVar[str] = ""

    theta: float = 1.0
    gamma: float = 0.145
    targets: int = 9

    def __post_init__(self) -> None:
        if not 0 < abs(self.theta) <= 1 or not 0 < self.gamma <= 1 or self.targets < 1:
            raise ValueError(
                "0 < |theta| <= 1, 0 < gamma <= 1 and targets >= 1 must hold, but got "
                f"{self.theta}, {self.gamma} and {self.targets}; correct them."
            )

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        pairs = int(min(epsilon, images[0].numel()) // 2)
        return self._successes(model, images, labels, partial(self._descend, pairs=pairs))

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._descend(model, images, labels, int(self.gamma * images[0].numel() // 2))

    def _descend(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, pairs: int) -> torch.Tensor:
        result = images.clone()
        scores = logits_of(model, images)
        targets = scores.scatter(1, labels[:, None], -torch.inf).topk(min(self.targets, scores.shape[1] - 1)).indices
        owner = torch.arange(len(images)).repeat_interleave(targets.shape[1])
        target = targets.flatten()
        x = images[owner]
        for _ in range(pairs):
            if not len(owner):
                break
            first, second, found = (torch.cat(part) for part in zip(*self._pairs(model, x, target), strict=True))
            owner, target, x = owner[found], target[found], x[found]
            flat = x.flatten(1)
            rows = torch.arange(len(x))
            for chosen in (first[found], second[found]):
                flat[rows, chosen] = (flat[rows, chosen] + self.theta).clamp(0, 1)
            x = flat.reshape(x.shape)
            if not len(x):
                break
            success = logits_of(model, x).argmax(1) != labels[owner]
            done = torch.zeros(len(images), dtype=torch.bool)
            # From the last to the first, so that the most likely target wins where several succeed at once.
            for row in success.nonzero()[:, 0].flip(0).tolist():
                result[owner[row]] = x[row]
                done[owner[row]] = True
            left = ~done[owner]
            owner, target, x = owner[left], target[left], x[left]
        return result

    def _pairs(
        self, model: nn.Module, images: torch.Tensor, targets: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """(first value, second value, whether there is a pair) for each row, in chunks."""
        for x, target in zip(torch.split(images, _ROWS), torch.split(targets, _ROWS), strict=True):
            leaf = x.clone().requires_grad_()
            out = model(leaf)
            (towards,) = torch.autograd.grad(out.gather(1, target[:, None]).sum(), leaf, retain_graph=True)
            (all_,) = torch.autograd.grad(out.sum(), leaf)
            gains, losses = towards.flatten(1), (towards - all_).flatten(1)
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

    A value that two others beat or equal in both numbers can be left out: whatever its partner, one of the two is
    another value, and does not lower the product. What is left is a few values an image, so that no D x D matrix of
    pairs is needed.
    """
    gains = gains.masked_fill(~free, -torch.inf)
    losses = losses.masked_fill(~free, -torch.inf)
    order = gains.argsort(dim=1, descending=True, stable=True)
    sorted_losses = losses.gather(1, order)
    largest = sorted_losses.cummax(1).values
    before = torch.full_like(largest[:, :1], -torch.inf)
    previous = torch.cat([before, largest[:, :-1]], 1)
    second = torch.minimum(sorted_losses, previous).cummax(1).values
    kept = sorted_losses > torch.cat([before, second[:, :-1]], 1)
    count = max(2, int(kept.sum(1).max()))
    # the kept ones first, in their order
    place = kept.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    candidate = order.gather(1, place)
    kept = kept.gather(1, place)
    gain = gains.gather(1, candidate).masked_fill(~kept, -torch.inf)
    loss = losses.gather(1, candidate).masked_fill(~kept, -torch.inf)
    gain, loss = gain[:, :, None] + gain[:, None], loss[:, :, None] + loss[:, None]
    above = torch.ones(count, count, dtype=torch.bool).triu(1)
    allowed = (gain > 0) & (loss > 0) & above
    best = (gain * loss).masked_fill(~allowed, -torch.inf).flatten(1).argmax(1)
    pair = torch.stack([best // count, best % count], 1)
    chosen = candidate.gather(1, pair).sort(1).values
    return chosen[:, 0], chosen[:, 1], allowed.flatten(1).any(1)
