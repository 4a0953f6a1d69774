"""Networks on a CUDA device whose callers keep their images and logits on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from circuits.errors import DesignError
from circuits.support.processor import DEVICE_VARIABLE, chosen_device

__all__ = ["on_chosen_device", "require_cuda"]

_CUDA = "cuda"


def on_chosen_device(model: nn.Module) -> nn.Module:
    """The network, moved to the device that --device or the environment names (see `circuits.support.processor`).

    On a CUDA device it still takes images and returns logits on the CPU, and so do its copies, approximate ones too:
    attacks and measurements need not know where it runs. Raises DesignError where there is no device.
    """
    if chosen_device() == "cpu":
        return model
    require_cuda()
    # Exact layers compute in float32, not in TF32, and the same way in every run.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    model.to(_CUDA)
    model.register_forward_pre_hook(_move_to_network)
    model.register_forward_hook(_move_to_host)
    return model


def require_cuda() -> None:
    """Raises DesignError unless torch can use a CUDA device."""
    if not torch.cuda.is_available():
        raise DesignError(
            f"no CUDA device: torch {torch.__version__} finds none; leave out --device cuda (or {DEVICE_VARIABLE}) to "
            "compute on the CPU."
        )


def _move_to_network(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.to(_CUDA) if isinstance(value, torch.Tensor) else value for value in inputs)


def _move_to_host(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return output.cpu() if isinstance(output, torch.Tensor) else output
