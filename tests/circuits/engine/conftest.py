"""Fixtures that several tests of the engine share."""

from __future__ import annotations

import pytest

from circuits.engine.llvm.jit import Target
from circuits.support import processor


@pytest.fixture(params=tuple(processor.VECTOR_BITS))
def cpu_level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each level of vector instructions that this processor has."""
    levels = list(processor.VECTOR_BITS)
    monkeypatch.delenv(processor.VARIABLE, raising=False)
    if levels.index(request.param) > levels.index(Target.host().level):
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(processor.VARIABLE, request.param)
    return str(request.param)
