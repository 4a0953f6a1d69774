"""Two small networks of one architecture for the tests of audits: trained as usual, and adversarially.

`python tests/support/robust_networks.py` trains both on the embedded MNIST images in about a minute on one core and
writes tests/support/networks/NAME.safetensors and NAME.json. Adversarial training: Madry et al., "Towards Deep
Learning Models Resistant to Adversarial Attacks", ICLR 2018, with few steps. Written without the attacks under test.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from cnn_eval.data.loading import load

FOLDER = Path(__file__).parent / "networks"
EPSILON = 0.12
STEPS = 4
EPOCHS = 6
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
NAMES = ("normal", "adversarial")


class SmallNetwork(nn.Module):
    """Two strided convolutions and two linear layers: images [N, 1, 28, 28] -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2)
        self.conv2 = nn.Conv2d(8, 16, 5, stride=2)
        self.fc1 = nn.Linear(256, 48)
        self.fc2 = nn.Linear(48, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv1(images))
        x = functional.relu(self.conv2(x))
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]


def network(name: str) -> SmallNetwork:
    """The trained network `name`, in evaluation mode."""
    model = SmallNetwork()
    model.load_state_dict(load_file(FOLDER / f"{name}.safetensors"))
    return model.eval()


def train(*, adversarial: bool) -> SmallNetwork:
    """Trains with Adam; with `adversarial`, on images moved by signed gradient steps within EPSILON."""
    torch.manual_seed(0)
    model = SmallNetwork()
    images = load("mnist", "train")
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(images)), BATCH_SIZE):
            x, y = images.images[chosen], images.labels[chosen]
            if adversarial:
                x = attacked(model, x, y)
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def attacked(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The images after STEPS of PGD within EPSILON, from a random start."""
    x = (images + EPSILON * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
    for _ in range(STEPS):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(functional.cross_entropy(model(x), labels), x)
        x = x.detach() + 2.5 * EPSILON / STEPS * gradient.sign()
        x = (images + (x - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    return x.detach()


def main() -> None:
    """Trains both networks and writes their weights and records."""
    torch.set_num_threads(1)
    test = load()
    for name in NAMES:
        model = train(adversarial=name == "adversarial")
        right = int((model(test.images).argmax(1) == test.labels).sum())
        FOLDER.mkdir(exist_ok=True)
        save_file(model.state_dict(), FOLDER / f"{name}.safetensors")
        record = {
            "script": "python tests/support/robust_networks.py",
            "data": "mnist, embedded training images",
            "seed": 0,
            "epochs": EPOCHS,
            "batch_size": BATCH_SIZE,
            "learning_rate": LEARNING_RATE,
            "adversarial": {"epsilon": EPSILON, "steps": STEPS, "norm": "linf"} if name == "adversarial" else None,
            "embedded_test_images_right": [right, len(test)],
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
        print(name, f"{right}/{len(test)}")


if __name__ == "__main__":
    main()
