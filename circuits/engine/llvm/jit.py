"""Compiles LLVM IR to callable machine code, and caches the object code on disk.

Objects are cached in the user's cache folder (mode 0700), one file for each IR text and target, together with the
SHA-256 of its content; a file that does not match is compiled again. Writers rename finished files into place, so that
concurrent ones are safe. A folder that others can write to is not used: object code is executed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import platformdirs

from circuits.errors import DesignError
from circuits.support.files import read_bytes
from circuits.support.processor import VARIABLE, VECTOR_BITS, chosen_level

_MAGIC = b"approximate-dse object 1\n"
_MAXIMUM_FILES = 4096
_MAXIMUM_BYTES = 1 << 28
"""Largest object file that is read."""


@dataclass(frozen=True)
class Target:
    """The processor that code is generated for. `vector_bits`: 512, 256 or 128."""

    cpu: str
    features: str
    vector_bits: int

    @property
    def ternary(self) -> bool:
        """Whether a 3-input truth table is one instruction, vpternlog."""
        return self.vector_bits == 512

    @property
    def byte_permutations(self) -> bool:
        """Whether 64 bytes are looked up in 128 by one instruction, vpermi2b."""
        return self.vector_bits == 512 and "+avx512vbmi," in self.features

    @property
    def level(self) -> str:
        """The target's level in `support.processor.VECTOR_BITS`."""
        return "vbmi" if self.byte_permutations else {128: "generic", 256: "avx2", 512: "avx512"}[self.vector_bits]

    @classmethod
    def host(cls, vector_bits: int | None = None) -> Target:
        """This machine with vectors of `vector_bits`; by default those chosen by the environment, else its widest.

        Raises DesignError where the environment asks for more than the processor has (see `support.processor`).
        """
        return cls._of_host(vector_bits, chosen_level())

    @classmethod
    @lru_cache
    def _of_host(cls, vector_bits: int | None, chosen: str | None) -> Target:
        _initialise()
        features = dict(llvm.get_host_cpu_features())
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        highest = _highest_level(features)
        levels = list(VECTOR_BITS)
        if chosen is not None and levels.index(chosen) > levels.index(highest):
            raise DesignError(
                f"{VARIABLE} must ask for at most {highest!r} on this processor, but asks for {chosen!r}; "
                "choose a lower level."
            )
        level = chosen or highest
        bits = vector_bits or VECTOR_BITS[level]
        assert bits in (128, 256, 512)
        assert bits <= VECTOR_BITS[highest]
        # The baseline of x86-64 (SSE2): measures what any such machine can run, whatever this one has.
        if x86 and bits == 128:
            return cls("x86-64", "", 128)
        if bits == 256:
            # Otherwise LLVM would still pick AVX-512VL's instructions on 256-bit registers.
            features = {name: on and not name.startswith("avx512") for name, on in features.items()}
        elif level == "avx512":
            features["avx512vbmi"] = features["avx512vbmi2"] = False
        flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
        return cls(llvm.get_host_cpu_name(), flags, bits)


def _highest_level(features: dict[str, bool]) -> str:
    """The highest level of `support.processor.VECTOR_BITS` that these features have."""
    if features.get("avx512f") and features.get("avx512vl"):
        return "vbmi" if features.get("avx512bw") and features.get("avx512vbmi") else "avx512"
    return "avx2" if features.get("avx2") else "generic"


class Library:
    """Machine code of one IR module; functions stay valid as long as the library lives."""

    def __init__(self, object_code: bytes, target: Target) -> None:
        empty = llvm.parse_assembly("")
        self._engine = llvm.create_mcjit_compiler(empty, _machine(target))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """The address of a function."""
        return int(self._engine.get_function_address(symbol))

    def function(self, symbol: str, *argument_types: Any) -> Any:
        """A function without result, as a ctypes function; it releases the interpreter lock while it runs."""
        function = ctypes.CFUNCTYPE(None, *argument_types)(self.address(symbol))
        function.library = self  # type: ignore[attr-defined]  # keeps the code alive
        return function


def load(ir: str, target: Target) -> Library:
    """The code of `ir` for `target`, from the cache or compiled and cached."""
    _initialise()
    # All that the machine code depends on, so that an upgrade or another machine in a shared home folder misses the
    # cache instead of loading code that traps.
    versions = (llvmlite.__version__, llvm.llvm_version_info, target.cpu, target.features, platform.machine())
    return Library(cached_bytes(f"{versions}\n{ir}", lambda: object_code(ir, target)), target)


def cached_bytes(description: str, make: Callable[[], bytes]) -> bytes:
    """The code that `description` determines, from the cache or from `make`, and then cached."""
    key = hashlib.sha256(description.encode()).hexdigest()
    code = _read_cached(key)
    if code is None:
        code = make()
        _write_cached(key, code)
    return code


def object_code(ir: str, target: Target) -> bytes:
    """The object file of an IR module, compiled here and now."""
    _initialise()
    module = llvm.parse_assembly(ir)
    # The emitter checks nothing itself; broken IR ends here with LLVM's message rather than in a crash.
    module.verify()
    code: bytes = _machine(target).emit_object(module)
    return code


def cache_folder() -> Path:
    """The folder in which object code is cached."""
    return Path(platformdirs.user_cache_dir("approximate-dse")) / "objects"


@lru_cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # for code with assembly in it


def _machine(target: Target) -> Any:
    triple = llvm.Target.from_default_triple()
    # opt=1: straight-line programs gain nothing from more, and compile three times faster.
    return triple.create_target_machine(
        cpu=target.cpu, features=target.features, opt=1, codemodel="jitdefault", jit=True
    )


def _usable_folder() -> Path | None:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        # mkdir ignores `mode` for a folder that exists, so that owner and permissions are checked after the fact.
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
            return None
    except OSError:
        return None
    return folder


def _read_cached(key: str) -> bytes | None:
    folder = _usable_folder()
    if folder is None:
        return None
    try:
        data = read_bytes(folder / f"{key}.o", limit=_MAXIMUM_BYTES)
    except DesignError:
        return None
    header = len(_MAGIC) + 32
    digest, code = data[len(_MAGIC) : header], data[header:]
    # The digest covers the key too: a file that was copied to another key's name does not match.
    if not data.startswith(_MAGIC) or hashlib.sha256(key.encode() + code).digest() != digest:
        return None
    return code


def _write_cached(key: str, code: bytes) -> None:
    folder = _usable_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(key.encode() + code).digest() + code)
            os.replace(name, folder / f"{key}.o")
        except BaseException:
            os.unlink(name)
            raise
        _prune(folder)


def _prune(folder: Path) -> None:
    """Removes the oldest half of the files once there are too many."""
    files = list(folder.iterdir())
    if len(files) > _MAXIMUM_FILES:
        dated = []
        for file in files:
            with contextlib.suppress(OSError):
                dated.append((file.stat().st_mtime, file))
        # Half of them at once, so that a full cache is not pruned at every write. Another process may prune too:
        # missing files are fine.
        for _, file in sorted(dated)[: len(dated) // 2]:
            file.unlink(missing_ok=True)
