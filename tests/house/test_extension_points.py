"""Every extension point of docs/CONTRIBUTING.md, tried with a toy in a temporary copy of the packages.

Each test states how many files a toy adds and how many lines it changes in existing files; `pytest -s` prints the
numbers and the difference to the project. A toy from outside leaves the packages as they are.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from house import PACKAGES, ROOT

BIG = ("weights", "datasets", "results")
"""Data folders: linked, not copied."""


@dataclass(frozen=True)
class Toy:
    """Something new, and Python code or a command that uses it.

    `files`: new files by path below the project's root. `lines`: file -> (the line behind which they go, new lines).
    `outside`: files of the user's own folder, beside the packages.
    """

    name: str
    uses: tuple[str, ...]
    prints: str
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)


CELL_OUTSIDE = Toy(
    name="cell, from outside",
    outside={"toy.toml": '[cells.toy]\nsum = "A ^ B ^ Cin"\ncarry = "A & B"\n'},
    uses=("-m", "circuits", "cells", "--cells", "toy.toml"),
    prints="toy",
)
CELL = Toy(
    name="cell of the library",
    lines={
        "circuits/cells/adder_cells.py": [
            ("_LIBRARY = (\n", '    _equations("toy", "A ^ B ^ C", "AB", None, "a toy: the carry of A and B alone"),\n')
        ]
    },
    uses=("-m", "circuits", "show", "toy_array", "--samples", "1000", "--cost-samples", "16"),
    prints="toy",
)
TOPOLOGY = Toy(
    name="topology",
    files={
        "circuits/multipliers/toy.py": '''"""A toy: the rows of a ripple-carry array, under another name."""

from circuits.multipliers import ripple_array
from circuits.multipliers.topology import Topology

TOPOLOGY = Topology(ripple_array.generate, has_final_adder=False)
'''
    },
    lines={
        "circuits/multipliers/__init__.py": [
            (
                '        "booth": "circuits.multipliers.booth:TOPOLOGY",\n',
                '        "toy": "circuits.multipliers.toy:TOPOLOGY",\n',
            ),
        ]
    },
    uses=(
        "-c",
        "from circuits import Design; print(Design(topology='toy', format=None, width=4).multiply_integers(13, 11))",
    ),
    prints="143",
)
FAMILY = Toy(
    name="family",
    files={
        "circuits/multipliers/families/toy.py": '''"""A toy: Mitchell's multiplier, under another name."""

from circuits.multipliers.families import mitchell
from circuits.multipliers.topology import gates_only

TOPOLOGY = gates_only(mitchell.generate, {}, "a toy")
'''
    },
    lines={
        "circuits/multipliers/__init__.py": [
            (
                '        "drum": "circuits.multipliers.families.drum:TOPOLOGY",\n',
                '        "toy": "circuits.multipliers.families.toy:TOPOLOGY",\n',
            ),
        ]
    },
    uses=(
        "-c",
        "from circuits import Design; print(Design(topology='toy', format=None, width=8).multiply_integers(12, 6))",
    ),
    prints="64",  # 2^3 (1 + 1/2) 2^2 (1 + 1/2): the fractions add up to 1, and 2^(3 + 2 + 1) is left
)
COMPRESSOR_OUTSIDE = Toy(
    name="compressor, from outside",
    outside={
        "toy.toml": '[design]\nformat = "integer"\nwidth = 8\ntopology = "compressor_tree"\n'
        '[design.options]\ncompressor = "toy"\n'
        '[compressors.toy]\nsum = "0111111111111111"\ncarry = "0000000100010111"\nsource = "a toy"\n'
    },
    uses=("-m", "circuits", "show", "toy.toml", "--samples", "1000", "--cost-samples", "16"),
    prints="toy",
)
COMPRESSOR = Toy(
    name="compressor of the library",
    lines={
        "circuits/cells/compressors.py": [
            (
                "_LIBRARY = (\n",
                '    _equations("toy", "a toy", sum=lambda a, b, c, d: a | b, carry=lambda a, b, c, d: c & d),\n',
            )
        ]
    },
    uses=("-m", "circuits", "compressors"),
    prints="toy",
)
ADDER = Toy(
    name="adder",
    files={
        "circuits/adders/toy.py": '''"""A toy: no carry at all."""

from circuits.adders.adder_kinds import AdderKind
from circuits.netlists.netlist import ZERO

ADDER = AdderKind(lambda logic, a, b, options: [*map(logic.xor, a, b), ZERO], {}, "a toy")
'''
    },
    lines={
        "circuits/adders/adder_kinds.py": [
            (
                '        "gear": "circuits.adders.gear:ADDER",\n',
                '        "toy": "circuits.adders.toy:ADDER",\n',
            )
        ]
    },
    uses=("-m", "circuits", "adder", "toy", "--width", "4", "--cost-samples", "16"),
    prints="toy",
)
FORMAT = Toy(
    name="float format",
    lines={
        "circuits/floats/arithmetic.py": [
            ('            FloatFormat("float32", 8, 23),\n', '            FloatFormat("toy", 5, 6),\n')
        ]
    },
    uses=("-c", "from circuits import Design; print(Design(format='toy').multiply(1.5, 2.5))"),
    prints="3.75",
)
BACKEND = Toy(
    name="engine backend",
    files={
        "circuits/engine/backends/toy.py": '''"""A toy: the reference backend, under another name."""

from circuits.engine.backends import reference
from circuits.engine.backends.backend import Backend

BACKEND = Backend(reference.run)
'''
    },
    lines={
        "circuits/engine/backends/backend.py": [
            (
                '    "compiled": "circuits.engine.backends.compiled",\n',
                '    "toy": "circuits.engine.backends.toy",\n',
            )
        ]
    },
    uses=(
        "-c",
        "import numpy as np; from circuits import Design, design, simulate; program = design('exact').program();"
        "planes = np.ones((program.input_count, 1), np.uint64);"
        "print((simulate(program, planes, 'toy') == simulate(program, planes, 'reference')).all());"
        # A backend that only runs programs multiplies integers and floats, too.
        "print(Design(format=None, width=5).multiply_integers(13, 11, backend='toy'));"
        "print(design('exact').multiply(1.5, -2.5, backend='toy'))",
    ),
    prints="True\n143\n-3.75\n",
)
ATTACK_FILE = '''"""A toy: every pixel as much brighter as the budget allows; without a budget the negative."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.base import Attack


@dataclass(frozen=True, kw_only=True)
class Toy(Attack):
    name: ClassVar[str] = "toy"
    norm: ClassVar[str] = "linf"
    library: ClassVar[str] = ""

    def _budget(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float
    ) -> torch.Tensor:
        return (images + epsilon).clamp(0, 1)

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return 1 - images
'''
ATTACK = Toy(
    name="attack",
    files={"cnn_eval/attacks/toy.py": ATTACK_FILE},
    lines={
        "cnn_eval/attacks/attack_registry.py": [
            (
                '        "pgd": "cnn_eval.attacks.pgd:PGD",\n',
                '        "toy": "cnn_eval.attacks.toy:Toy",\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "attack", "axfpm", "--attacks", "toy", "--mode", "minimum", "--samples", "8"),
    prints="toy",
)
SCORER = Toy(
    name="scorer",
    files={
        "dse/score/scorers/toy_scorer.py": '''"""Scorer `toy`: the cells of the array."""

from dse.score.scorers.scorer import Column, Scorer

TOY = Scorer(
    name="toy",
    version=1,
    columns=(Column(name="toy", unit="cells", label="cells in the array", format=".0f"),),
    measure=lambda design, settings: {"toy": float(len(design.netlist().instances))},
)
'''
    },
    lines={
        "dse/score/scorers/__init__.py": [
            (
                '        "cost": "dse.score.scorers.cost_scorer:COST",\n',
                '        "toy": "dse.score.scorers.toy_scorer:TOY",\n',
            )
        ]
    },
    uses=("-m", "dse.compare", "exact", "axfpm", "--images", "20", "--workers", "1"),
    prints="cells in the array",
)
SEARCH_METHOD = Toy(
    name="search method",
    files={
        "dse/explore/methods/toy_search.py": '''"""A toy: random search under another name."""

from dse.explore.methods.random_search import explore_at_random

explore_toy = explore_at_random
'''
    },
    lines={
        "dse/explore/methods/__init__.py": [
            (
                '        "random": "dse.explore.methods.random_search:explore_at_random",\n',
                '        "toy": "dse.explore.methods.toy_search:explore_toy",\n',
            )
        ]
    },
    uses=(
        *("-m", "dse.search", "--method", "toy", "--budget", "8", "--population", "4"),
        *(
            "--objectives",
            "transistors,nmed",
            "--images",
            "20",
            "--attack-images",
            "4",
            "--workers",
            "1",
            "--out",
            "out",
        ),
    ),
    prints="method toy",
)
SCORER_OUTSIDE = Toy(
    name="scorer, from outside",
    outside={
        "toy.py": """from dse.score.scorers.scorer import Column


class Toy:
    name, version = "toy", 1
    columns = (Column(name="toy", unit="cells", label="cells in the array", format=".0f"),)

    def measure(self, design, settings):
        return {"toy": float(len(design.netlist().instances))}
"""
    },
    uses=("-m", "dse.compare", "exact", "axfpm", "--images", "20", "--workers", "1", "--scorer", "toy:Toy"),
    prints="toy",
)
SCHEME = Toy(
    name="quantisation scheme",
    files={
        "cnn_eval/quantized/schemes/toy.py": '''"""A toy: signed codes of which half are used."""

from cnn_eval.quantized.schemes.scheme import Scheme, direct_product, direct_sums, symmetric_scales

SCHEME = Scheme(
    name="toy",
    signed=True,
    affine=False,
    codes=lambda bits: (-(1 << bits - 2), 1 << bits - 2),
    scales=lambda low, high, bits: symmetric_scales(low, high, 1 << bits - 2),
    product=direct_product,
    sums=direct_sums,
)
'''
    },
    lines={
        "cnn_eval/quantized/schemes/__init__.py": [
            (
                '        "uint8": "cnn_eval.quantized.schemes.uint8:SCHEME",\n',
                '        "toy": "cnn_eval.quantized.schemes.toy:SCHEME",\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "accuracy", "toy.toml", "--quantize", "toy", "--samples", "4", "--calibration-images", "8"),
    outside={"toy.toml": '[design]\nformat = "integer"\nwidth = 8\nsigned = true\n'},
    prints="exact toy 8x8",
)
NETWORK = Toy(
    name="network",
    files={
        "cnn_eval/models/networks/toy.py": '''"""A toy: one linear layer."""

from torch import nn

from cnn_eval.models.registration import ModelEntry
from cnn_eval.models.training_settings import TrainingSettings


def toy() -> nn.Module:
    """Logits [N, 10] of images [N, 1, 28, 28]."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


TOY = ModelEntry(factory=toy, dataset="mnist", recipe=TrainingSettings(model="toy"))
'''
    },
    lines={
        "cnn_eval/models/registry.py": [
            (
                '        "alexnet": "cnn_eval.models.networks.alexnet:ALEXNET",\n',
                '        "toy": "cnn_eval.models.networks.toy:TOY",\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "train", "toy", "--data", "embedded", "--epochs", "1", "--out", "out"),
    prints="toy",
)
DATA_SET = Toy(
    name="data set",
    files={
        "cnn_eval/data/toy.py": '''"""A toy: MNIST under another name."""

from dataclasses import replace

from cnn_eval.data.mnist import MNIST

TOY = replace(MNIST, title="toy digits")
'''
    },
    lines={
        "cnn_eval/data/dataset_registry.py": [
            ('        "mnist": "cnn_eval.data.mnist:MNIST",\n', '        "toy": "cnn_eval.data.toy:TOY",\n')
        ]
    },
    uses=("-m", "cnn_eval", "data", "list"),
    prints="toy",
)
IMAGE_FILE = Toy(
    name="kind of image file",
    files={
        "cnn_eval/data/own_images/toy.py": '''"""A toy: one digit, black, of class 0."""

import torch


def read_toy(path):
    """No file is opened."""
    return torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)
'''
    },
    lines={
        "cnn_eval/data/own_images/user_images.py": [
            (
                '        ".npz": "cnn_eval.data.own_images.array_files:read_npz",\n',
                '        ".toy": "cnn_eval.data.own_images.toy:read_toy",\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "accuracy", "exact", "--data", "black.toy"),
    outside={"black.toy": ""},
    prints="1 black.toy test images",
)
EXAMPLES = Toy(
    name="set of stored examples",
    lines={
        "cnn_eval/examples/example_sets.py": [
            (
                '        "fgsm_smallest": ExampleSet(attack="fgsm", mode="minimum"),\n',
                '        "toy": ExampleSet(attack="fgsm", mode="budget", epsilon={"mnist": 0.3}),\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "examples", "lenet5", "--examples", "toy", "--out", "out"),
    prints="toy: ",
)
FETCHED_FILES = Toy(
    name="weights or pictures to fetch",
    files={
        "cnn_eval/data/file_sets/toy.py": '''"""A toy: the weights of MobileNetV2 under another name."""

from dataclasses import replace

from cnn_eval.data.file_sets.mobilenet_weights import MOBILENET_V2

TOY = replace(MOBILENET_V2, name="toy")
'''
    },
    lines={
        "cnn_eval/data/file_sets/__init__.py": [
            (
                '        "mobilenet_v2": "cnn_eval.data.file_sets.mobilenet_weights:MOBILENET_V2",\n',
                '        "toy": "cnn_eval.data.file_sets.toy:TOY",\n',
            )
        ]
    },
    uses=("-m", "cnn_eval", "data", "list"),
    prints="toy",
)
NETWORK_OUTSIDE = Toy(
    name="network, from outside",
    outside={"toy.py": "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"},
    uses=(
        *("-m", "cnn_eval", "accuracy", "exact", "--model", "toy:make", "--dataset", "mnist"),
        *("--layers", "all", "--samples", "5"),
    ),
    prints="exact",
)
STUDY = Toy(
    name="study",
    files={
        "studies/own/toy.py": '''"""A toy: how wrong AMA5 is."""

from circuits import CELLS
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "wrong rows of AMA5"
SOURCE = "our own study"


def run(options: StudyOptions) -> StudyResult:
    """The same at every level."""
    wrong = sum(error != 0 for error in CELLS["ama5"].errors)
    return StudyResult([Row("ama5", "wrong rows", wrong)], "measured", "counted.")
'''
    },
    lines={"studies/__init__.py": [('        "audit": "studies.own.audit",\n', '        "toy": "studies.own.toy",\n')]},
    uses=("-m", "studies", "run", "toy", "--quick", "--out", "out"),
    prints="toy: wrong rows of AMA5 (our own study)",
)


def copy_of_the_packages(folder: Path) -> None:
    """The packages in `folder`, their large data folders as links; bytecode and compiled kernels are copied too."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns(*BIG))
        for name in BIG:
            if (ROOT / package / name).is_dir():
                (folder / package / name).symlink_to(ROOT / package / name)
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)


def added(folder: Path, toy: Toy) -> tuple[int, str]:
    """Adds the toy to the packages in `folder`; returns the number of new or changed lines in files that were there,
    and the difference as text, new files included."""
    difference: list[str] = []
    changed = 0
    for name, text in toy.files.items():
        (folder / name).write_text(text, encoding="utf-8")
        difference += difflib.unified_diff([], text.splitlines(keepends=True), "/dev/null", name)
    for name, edits in toy.lines.items():
        before = after = (folder / name).read_text(encoding="utf-8")
        for anchor, lines in edits:
            assert after.count(anchor) == 1, f"{name} must hold once: {anchor!r}"
            after = after.replace(anchor, anchor + lines)
        (folder / name).write_text(after, encoding="utf-8")
        lines_before, lines_after = before.splitlines(keepends=True), after.splitlines(keepends=True)
        changed += sum(line.startswith("+ ") for line in difflib.ndiff(lines_before, lines_after))
        difference += difflib.unified_diff(lines_before, lines_after, name, name, n=1)
    for name, text in toy.outside.items():
        (folder / name).write_text(text, encoding="utf-8")
    return changed, "".join(difference)


def used(folder: Path, toy: Toy, cache: Path) -> str:
    """Output of the toy's command, run in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, *toy.uses], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("toy", "files", "lines"),
    [
        (CELL_OUTSIDE, 0, 0),
        (CELL, 0, 1),
        (TOPOLOGY, 1, 1),
        (FAMILY, 1, 1),
        (COMPRESSOR_OUTSIDE, 0, 0),
        (COMPRESSOR, 0, 1),
        (ADDER, 1, 1),
        (FORMAT, 0, 1),
        (BACKEND, 1, 1),
        (ATTACK, 1, 1),
        (SCORER_OUTSIDE, 0, 0),
        (SCORER, 1, 1),
        (SEARCH_METHOD, 1, 1),
        (SCHEME, 1, 1),
        (NETWORK, 1, 1),
        (DATA_SET, 1, 1),
        (IMAGE_FILE, 1, 1),
        (EXAMPLES, 0, 1),
        (FETCHED_FILES, 1, 1),
        (NETWORK_OUTSIDE, 0, 0),
        (STUDY, 1, 1),
    ],
    ids=lambda value: value.name if isinstance(value, Toy) else "",
)
def test_something_new_is_one_file_and_its_registration(
    toy: Toy, files: int, lines: int, tmp_path: Path, shared_cache: Path
) -> None:
    copy_of_the_packages(tmp_path)
    changed, difference = added(tmp_path, toy)
    assert (len(toy.files), changed) == (files, lines), difference
    assert toy.prints in used(tmp_path, toy, shared_cache)
    print(f"\n{toy.name}: {files} new files, {lines} lines in existing files\n{difference}")
