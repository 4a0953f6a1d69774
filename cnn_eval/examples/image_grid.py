"""Draws adversarial images with the clean ones and their difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from circuits.support.files import require_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["require_png", "save_grid"]

EXAMPLES_PER_ATTACK = 6


def require_png(path: Path) -> None:
    """Raises ValueError unless `path` ends in .png and can be written."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"the images' file must end in .png, but is {path}; rename it.")
    require_writable(path.parent)


Examples = Mapping[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]


def save_grid(path: Path, examples: Examples) -> None:
    """Draws the first examples of each title as a block of three rows: clean, adversarial, difference.

    `examples`: title -> (clean images, adversarial images, true classes, classes of the adversarial images); images are
    float32 [N, C, H, W] in [0, 1] with 1 or 3 channels, classes int64 [N], N >= 1. A difference is drawn as
    (adversarial - clean + 1) / 2, so grey means no change.
    """
    from circuits.drawing.figure_files import save

    save(lambda: _figure(examples), path, salt="grid")


def _figure(examples: Examples) -> Figure:
    from matplotlib.figure import Figure

    columns = min(EXAMPLES_PER_ATTACK, max(len(labels) for _, _, labels, _ in examples.values()))
    rows = 3 * len(examples)
    figure = Figure(figsize=(1.3 * columns + 1.0, 1.35 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for block, (title, (clean, adversarial, labels, classes)) in enumerate(examples.items()):
        for k in range(min(columns, len(labels))):
            pictures = (clean[k], adversarial[k], (adversarial[k] - clean[k] + 1) / 2)
            captions = (f"{int(labels[k])}", f"{int(labels[k])} -> {int(classes[k])}", "difference")
            for row, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
                axis = axes[3 * block + row][k]
                pixels = picture[0] if len(picture) == 1 else picture.permute(1, 2, 0)
                axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set_title(f"{title}: {caption}" if row == 0 and k == 0 else caption, fontsize=8, parse_math=False)
    return figure
