"""The names and limits that command lines offer, known without importing torch, so that `--help` answers at once.

Names of networks, data sets, attacks and example sets are those of their registries. The other lists repeat names that
modules with torch state; those modules decide what is accepted, and a test compares the two.
"""

from __future__ import annotations

from typing import get_args

from cnn_eval.attacks import attack_registry
from cnn_eval.attacks.shared.attack_modes import BallNorm, Mode
from cnn_eval.attacks.shared.budgets import BUDGETS
from cnn_eval.data import dataset_registry
from cnn_eval.data.file_sets import FILE_SETS
from cnn_eval.examples import example_sets
from cnn_eval.models import registry
from cnn_eval.quantized import schemes
from cnn_eval.support.seeds import MAX_SEED

NETWORKS = tuple(registry.MODELS)
DATASETS = tuple(dataset_registry.DATASETS)
FETCHABLE = (*DATASETS, *FILE_SETS)
"""What `data fetch` brings."""
ATTACKS = tuple(attack_registry.ATTACKS)
ATTACK_MODES: tuple[str, ...] = get_args(Mode)
BALL_NORMS: tuple[str, ...] = get_args(BallNorm)
EXAMPLE_SETS = tuple(example_sets.EXAMPLE_SETS)
DEFAULT_BUDGETS = "the data set's convention: " + "; ".join(
    f"{name} " + ", ".join(f"{budget.epsilon:.3g} {norm}" for norm, budget in budgets.items())
    for name, budgets in BUDGETS.items()
)
MAXIMUM_SEED = MAX_SEED
"""Largest seed that the generators of torch and NumPy both take."""

SOURCES = ("embedded", "full")
"""Where images of a data set come from: the subset in the package, or the full set after `data fetch`."""
LAYERS = ("conv", "linear", "all")
BACKWARD = ("ste", "approximate", "slope", "table1d", "table2d")
SCHEMES = tuple(schemes.SCHEMES)
CALIBRATIONS = ("percentile", "minmax", "least_squares")
CALIBRATION_IMAGES = 500
OVERFLOWS = ("wrap", "saturate")
"""What an accumulator of few bits does with sums beyond its range."""
ACCUMULATOR_BITS = (2, 63)
FIRST_LAST = ("quantized", "exact")
COMPUTE = ("auto", "native", "table", "gate", "lowered")
"""How products are computed: "native", by the processor's own arithmetic where the circuit is exact by construction;
"table", from tables that the gates fill, for codes of few bits; "gate", bit-accurate through the circuit's gates;
"lowered", through torch's own products
where the design is a bilinear form (equal up to float32 rounding of sums); "auto", the fastest bit-accurate way."""
MARGIN_ATTACKS = ("cw", "deepfool", "fgsm", "pgd")
SCENARIOS = ("transfer", "black-box", "white-box")
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adam", "sgd")
SUBSTITUTE_ROUNDS = 5
