"""A user's own network and images, for searches: a factory without weights files and images that it labels itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

CLASSES = 4


def small() -> nn.Module:
    """Two convolutions and a linear layer on [N, 1, 8, 8]; the caller seeds torch, as `load_user_model` does."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(32, CLASSES)
    )
    return _balanced(network)


def wider() -> nn.Module:
    """Another network for the same images."""
    return _balanced(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, CLASSES)))


def _balanced(network: nn.Sequential) -> nn.Module:
    """Random weights favour one class for every image: the last bias takes that away."""
    with torch.no_grad():
        values = network(torch.rand(256, 1, 8, 8))
        network[-1].bias -= values.mean(0)
        network[-1].weight /= values.std(0)[:, None]
        network[-1].bias /= values.std(0)
    return network


def write_images(path: Path, count: int = 60, *, factory: str = "small", scale: float = 1.0, seed: int = 1) -> Path:
    """An .npz file of random images [count, 1, 8, 8] up to `scale`, with the classes that the network gives them."""
    from cnn_eval import load_model, predict

    images = torch.from_numpy(np.random.default_rng(seed).random((count, 1, 8, 8), dtype=np.float32))
    labels = predict(load_model(f"small_network:{factory}"), images)
    np.savez(path, images=scale * images.numpy(), labels=labels.numpy())
    return path
