"""Runs NVIDIA's assembler ptxas (from the wheel nvidia-cuda-nvcc, or on PATH) and reads what it reports of a kernel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTRUCTION_BYTES = 16
"""Size of an instruction on every architecture since sm_70."""
_READ_SHARED, _BRANCH = 0x984, 0x947


@cache
def find_assembler() -> Path | None:
    """Path of ptxas; None where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        for program in sorted(Path(folder).glob("c*/bin/ptxas")):
            # Unpacked wheels may have lost the permission to execute.
            program.chmod(0o755)
            return program
    found = shutil.which("ptxas")
    return Path(found) if found else None


@dataclass(frozen=True)
class Assembled:
    """An assembled kernel: registers per thread, bytes spilled to memory, machine code."""

    registers: int
    spilled: int
    code: bytes

    @property
    def instructions(self) -> int:
        """Number of instructions."""
        return len(self.code) // INSTRUCTION_BYTES

    def lookup_loop_instructions(self) -> int:
        """Number of instructions in the loop that reads shared memory, which the first branch after the last read ends.

        For sm_90. The opcode is the lowest 12 bits of an instruction. The distance of a branch, in units of four bytes
        from the next instruction, has its lowest 8 bits at bit 16 and the others from bit 34 on, as nvdisasm shows.
        """
        words = struct.unpack(f"<{2 * self.instructions}Q", self.code)[::2]
        last_read = max(index for index, word in enumerate(words) if word & 0xFFF == _READ_SHARED)
        branch = next(index for index in range(last_read, len(words)) if words[index] & 0xFFF == _BRANCH)
        (upper,) = struct.unpack("<i", struct.pack("<I", words[branch] >> 32))
        distance = 4 * ((upper >> 2) * 256 + (words[branch] >> 16 & 255)) // INSTRUCTION_BYTES
        assert distance < 0
        return -distance


def assemble(ptx: bytes, architecture: str, folder: Path) -> Assembled:
    """Assembles PTX text; fails with the assembler's message."""
    program = find_assembler()
    assert program is not None
    source, result = folder / "kernel.ptx", folder / "kernel.cubin"
    source.write_bytes(ptx.rstrip(b"\0"))
    command = [program, "-v", "-arch", architecture, source, "-o", result]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (registers,) = re.findall(r"Used (\d+) registers", done.stderr)
    stored = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    return Assembled(int(registers), sum(map(int, stored)), _code(result.read_bytes()))


def _code(elf: bytes) -> bytes:
    """The section .text.kernel of a 64-bit ELF file."""
    (table,), (size, count, names) = struct.unpack_from("<Q", elf, 40), struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + number * size) for number in range(count)]
    start = headers[names][4]
    for name, _, _, _, begin, section_bytes in headers:
        if elf[start + name :].startswith(b".text.kernel\0"):
            return elf[begin : begin + section_bytes]
    raise AssertionError("the file must hold a section .text.kernel")
