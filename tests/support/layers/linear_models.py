"""Models of 16 inputs whose decision boundaries are known, for the tests of attacks."""

from __future__ import annotations

import torch
from torch import nn


class Rowwise(nn.Module):
    """logits = f(x) W + b, each row computed separately, so that rounding cannot make a result depend on its batch."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, *, bent: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.double())
        self.bias = nn.Parameter(bias.double())
        self.bent = bent

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1).double()
        if self.bent:
            x = torch.sin(2 * x)
        return ((x[:, None] * self.weight).sum(-1) + self.bias).float()


def linear(
    classes: int, seed: int = 0, *, bent: bool = False, contrast: float = 0.2
) -> tuple[Rowwise, torch.Tensor, torch.Tensor]:
    """A model of 16 inputs, and 5 images away from its decision boundaries, labelled as the model classifies them."""
    generator = torch.Generator().manual_seed(seed)
    model = Rowwise(
        torch.randn(classes, 16, generator=generator), 0.1 * torch.randn(classes, generator=generator), bent=bent
    )
    images = 0.5 + contrast * (torch.rand(200, 1, 4, 4, generator=generator) - 0.5)
    top = model(images).topk(2).values.detach()
    images = images[(top[:, 0] - top[:, 1] > 0.5)][:5]
    assert len(images) == 5
    return model, images, model(images).argmax(1)
