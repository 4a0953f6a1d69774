"""`cnn_eval` tells OpenMP to let waiting threads sleep: before torch is loaded, and unless the user has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# torch reads the policy when it is loaded
PROGRAM = """
import importlib.abc, os, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch" and sys.meta_path[0] is self:
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
import {module}
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["studies.paper.table2", "cnn_eval.layers.approximation"])
@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_the_wait_policy_is_set_before_torch_is_loaded(module: str, chosen: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if chosen:
        environment["OMP_WAIT_POLICY"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{chosen or 'PASSIVE'}\n"
