"""The gates of a float circuit for a weight that all lanes share."""

from __future__ import annotations

import ctypes
from circuits.engine.known_operands.stage_code import stage_code
from circuits.engine.known_operands.weight_stages import best_stages
from circuits.engine.llvm.jit import Target, load

def gates_ir(text, registers=32):
    clobbers = ",".join(f"~{{zmm{r}}}" for r in range(registers))
    body = text.replace("\n", "\\0A")
    return f'''define void @gates(ptr %x, i32 %weight, ptr %out, ptr %slots) noinline {{
  call void asm sideeffect inteldialect "{body}", "{{rdi}},{{esi}},{{rdx}},{{rcx}},~{{memory}},~{{flags}},{clobbers}"(ptr %x, i32 %weight, ptr %out, ptr %slots)
  ret void
}}
'''
