"""The names and limits that command lines offer, stated without importing torch, so that `--help` answers at once.

Each list repeats the names of a registry that does need torch; the registry decides what is accepted. A test compares
the two and says which name is missing here.
"""

from __future__ import annotations

NETWORKS = (
    "lenet5",
    "alexnet",
    "dorefa_full",
    "dorefa_weight",
    "dorefa_float",
    "resnet8",
    "resnet20",
    "mobilenet_cifar",
)
DATASETS = ("mnist", "cifar10")
SOURCES = ("embedded", "full")
"""Where images of a data set come from: the subset in the package, or the full set after `data fetch`."""
LAYERS = ("conv", "linear", "all")
BACKWARD = ("ste", "approximate", "slope")
COMPUTE = ("auto", "gate", "lowered")
"""How products are computed: "gate", bit-accurate through the circuit's gates; "lowered", through torch's own products
where the design is a bilinear form (equal up to float32 rounding of sums); "auto", the fastest bit-accurate way."""
ATTACKS = ("fgsm", "pgd", "jsma", "cw", "deepfool", "lsa", "boundary", "hopskipjump", "ddn")
ATTACK_MODES = ("minimum", "budget")
MARGIN_ATTACKS = ("cw", "deepfool", "fgsm", "pgd")
SCENARIOS = ("transfer", "black-box", "white-box")
BALL_NORMS = ("linf", "l2")
EXAMPLE_SETS = ("pgd", "fgsm_smallest")
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adam", "sgd")
DEFAULT_BUDGETS = (
    "the data set's convention: mnist 0.1 linf, 1.5 l2; cifar10 0.0314 linf, 0.5 l2; imagenet 0.0157 linf, 3 l2"
)
SUBSTITUTE_ROUNDS = 5
MAXIMUM_SEED = 2**32 - 1
"""Largest seed that the generators of torch and NumPy both take."""
