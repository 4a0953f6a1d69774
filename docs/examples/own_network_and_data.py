"""Your own network and data: a small network trained here, measured through designs, with its sensitive layers."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from circuits import design, find_design
from cnn_eval import load_images, measure_accuracy, measure_sensitivity, quantize

torch.manual_seed(0)
images, labels = load_images("mnist", "train", samples=600)
network = nn.Sequential(
    nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10)
)
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(4):
    for batch in torch.randperm(len(images)).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()

with tempfile.TemporaryDirectory() as folder:
    test, test_labels = load_images("mnist", samples=100)
    np.savez(Path(folder) / "mine.npz", x=(test * 255).round().to(torch.uint8).numpy(), y=test_labels.numpy())
    own, own_labels = load_images(Path(folder) / "mine.npz")  # 8-bit integers are divided by 255
for name in ("exact", "axfpm"):
    result = measure_accuracy(design(name), model=network, images=own, labels=own_labels, layers="all")
    print(f"{name}: {100 * result.accuracy:.0f} %")
integers = quantize(network, images[:100], scheme="uint8")
for layer in measure_sensitivity(integers, find_design("u8_mae2.28"), own, own_labels).layers:
    print(f"layer {layer.layer}: {layer.products:,} products, {100 * layer.accuracy_change:+.0f} points")
