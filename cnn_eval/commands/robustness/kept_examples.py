"""Adversarial examples kept in a file, for use elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from circuits.support.files import write_atomically

__all__ = ["save_examples"]


def save_examples(
    path: Path,
    images: torch.Tensor,
    labels: torch.Tensor,
    examples: Mapping[str, torch.Tensor],
    fooled: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
) -> None:
    """Writes a safetensors file, whole or not at all.

    Tensors: `images` float32 [N, C, H, W], `labels` int64 [N]; for each name of `examples` "adversarial/NAME" of the
    images' shape, the clean image where an attack failed; for each name of `fooled` "fooled/NAME", bool [N]: which
    images count as fooled. The metadata entry "record" is `record` as JSON.
    """
    tensors = {"images": images, "labels": labels}
    tensors |= {f"adversarial/{name}": tensor for name, tensor in examples.items()}
    tensors |= {f"fooled/{name}": tensor for name, tensor in fooled.items()}
    # Copies, since the format has no tensors that share memory.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, {"record": json.dumps(record, default=str)}))
