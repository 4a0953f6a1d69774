"""Norms of C&W L2, DeepFool and PGD beside those of independent libraries: ART and cleverhans.

Not a test, since the project does not depend on these libraries. Install them beside it, in an environment of its own:

    pip install --no-deps adversarial-robustness-toolbox==1.20.1 cleverhans==4.0.0
    pip install scikit-learn six tqdm
    python tests/support/cross_check_attacks.py   # some minutes; prints, and writes cross_check_attacks.json beside it

Both sides attack the same images and network; the medians are over the images that both fool, and must differ by at
most 5 %.

- C&W: 9 values of c from 0.001, 1,000 steps of 0.01, on both sides. torchattacks has no search over c and stops where
  the batch's cost rises, ART replaces Adam by a line search: neither is the algorithm of the paper (1.40 and 1.67 where
  ours ends at 0.94); cleverhans is.
- DeepFool: overshoot 0.02, ten classes, 50 steps on both sides.
- PGD: the smallest Linf budget for 40 steps from the image itself; their attack is bisected here.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cnn_eval import load_model, predict
from cnn_eval.attacks.carlini_wagner import CarliniWagner
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.pgd import PGD
from cnn_eval.attacks.shared.primitives import distances, fooled
from cnn_eval.data.loading import load

COUNT = 20
CW_STEPS = 1000
TOLERANCE = 0.05
RECORD = Path(__file__).with_suffix(".json")


def main() -> int:
    """Prints our medians beside theirs; returns 1 where they differ by more than the tolerance."""
    warnings.simplefilter("ignore")
    import art
    from art.attacks.evasion import DeepFool as TheirDeepFool
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier
    from cleverhans.torch.attacks.carlini_wagner_l2 import carlini_wagner_l2

    torch.set_num_threads(1)
    model = load_model("lenet5")
    data = load()
    right = (predict(model, data.images[:60]) == data.labels[:60]).nonzero()[:COUNT, 0]
    images, labels = data.images[right], data.labels[right]
    theirs = PyTorchClassifier(
        model=model, loss=torch.nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10, clip_values=(0.0, 1.0)
    )
    x, y = images.numpy(), labels.numpy()

    def smallest_pgd() -> torch.Tensor:
        low, high = np.zeros(len(x), np.float32), np.ones(len(x), np.float32)
        best = x.copy()
        for _ in range(10):
            middle = (low + high) / 2
            found = best.copy()
            for k in range(len(x)):
                attack = ProjectedGradientDescent(
                    theirs,
                    norm=np.inf,
                    eps=float(middle[k]),
                    eps_step=float(0.0625 * middle[k]),
                    max_iter=40,
                    verbose=False,
                )
                found[k : k + 1] = attack.generate(x[k : k + 1], y[k : k + 1])
            done = fooled(model, torch.from_numpy(found), labels).numpy()
            best[done] = found[done]
            high, low = np.where(done, middle, high), np.where(done, low, middle)
        return torch.from_numpy(best)

    def with_search_over_weights() -> torch.Tensor:
        found = carlini_wagner_l2(
            model,
            images,
            10,
            y=labels,
            lr=0.01,
            initial_const=1e-3,
            binary_search_steps=9,
            max_iterations=CW_STEPS,
        )
        return found.detach()

    def generated(attack: object) -> torch.Tensor:
        return torch.from_numpy(attack.generate(x, y))  # type: ignore[attr-defined]

    cases: dict[str, tuple[str, Callable[[], torch.Tensor], Callable[[], torch.Tensor]]] = {
        "deepfool": (
            "l2",
            lambda: DeepFool().run(model, images, labels, mode="minimum"),
            lambda: generated(
                TheirDeepFool(theirs, max_iter=50, epsilon=0.02, nb_grads=10, batch_size=COUNT, verbose=False)
            ),
        ),
        "pgd": (
            "linf",
            lambda: PGD(random_start=False).run(model, images, labels, mode="minimum"),
            smallest_pgd,
        ),
        "cw": (
            "l2",
            lambda: CarliniWagner(steps=CW_STEPS).run(model, images, labels, mode="minimum"),
            with_search_over_weights,
        ),
    }
    record: dict[str, object] = {
        "script": "python tests/support/cross_check_attacks.py",
        "libraries": [f"adversarial-robustness-toolbox {art.__version__}", "cleverhans 4.0.0"],
        "torch": torch.__version__,
        "model": "lenet5",
    }
    worst = 0.0
    if RECORD.exists():  # keeps the results of attacks that this run leaves out
        record = {**json.loads(RECORD.read_text()), **record}
    for name in sys.argv[1:] or cases:
        norm, ours, other = cases[name]
        one, two = ours(), other()
        clean, true = images[: len(one)], labels[: len(one)]
        both = fooled(model, one, true) & fooled(model, two, true)
        medians = [float(distances(clean[both], each[both], norm).median()) for each in (one, two)]  # type: ignore[arg-type]
        ratio = medians[0] / medians[1]
        worst = max(worst, abs(ratio - 1))
        record[name] = {
            "norm": norm,
            "ours": round(medians[0], 4),
            "theirs": round(medians[1], 4),
            "ratio": round(ratio, 4),
            "images": len(one),
            "fooled": [int(fooled(model, each, true).sum()) for each in (one, two)],
        }
        print(name, record[name], flush=True)
        RECORD.write_text(json.dumps(record, indent=2) + "\n")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    raise SystemExit(main())
