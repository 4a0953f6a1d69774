"""PTX from LLVM IR by llvmlite's NVPTX target, cached on disk like object code."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from circuits.engine.device.kernels.thread_code import Kernel
from circuits.engine.llvm.jit import cached_bytes
from circuits.errors import DesignError

TRIPLE = "nvptx64-nvidia-cuda"
ARCHITECTURE = "sm_80"
"""The oldest architecture that is served; the driver compiles its PTX for whatever device there is."""


def ptx(kernel: Kernel) -> bytes:
    """The PTX text of a kernel, NUL-terminated as the driver wants it, from the cache or made and cached.

    Raises DesignError where llvmlite was built without the NVPTX target.
    """
    ir = kernel.device_ir()
    versions = (llvmlite.__version__, llvm.llvm_version_info, TRIPLE, ARCHITECTURE)
    return cached_bytes(f"{versions}\n{ir}", lambda: ptx_of_ir(ir))


def ptx_of_ir(ir: str) -> bytes:
    """The PTX of an IR module, made here and now."""
    machine = _machine()
    module = llvm.parse_assembly(ir)
    module.verify()
    text: str = machine.emit_assembly(module)
    return text.encode() + b"\0"


@lru_cache(maxsize=1)
def _machine() -> Any:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(TRIPLE)
    except RuntimeError:
        raise DesignError(
            f"llvmlite must have the NVPTX target for kernels on a CUDA device, but version {llvmlite.__version__} was "
            "built without it; install llvmlite from PyPI or conda-forge."
        ) from None
    return target.create_target_machine(cpu=ARCHITECTURE, features="+ptx71", opt=2)
