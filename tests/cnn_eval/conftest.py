"""Fixtures that several tests of networks share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from cnn_eval import load_model, predict
from cnn_eval.data.loading import load


@pytest.fixture(scope="session")
def model() -> nn.Module:
    """The trained LeNet-5, which no test changes."""
    return load_model("lenet5")


@pytest.fixture(scope="session")
def batch(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 60 embedded test images that LeNet-5 classifies correctly, and their labels."""
    images = load()
    right = (predict(model, images.images[:70]) == images.labels[:70]).nonzero()[:60, 0]
    return images.images[right], images.labels[right]


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """user_module(name, text) writes a module to a folder on the import path, and returns the folder."""

    def write(name: str, text: str) -> Path:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return write
