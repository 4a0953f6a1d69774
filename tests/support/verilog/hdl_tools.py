"""External HDL tools for tests: iverilog, yosys and yosys-abc, skipped with a reason where they are not installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def need(*programs: str) -> None:
    """Skips the test unless all programs are installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: apt-get install iverilog yosys)")


def run(*command: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The finished command; its output is shown where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def simulate(
    verilog: str, module: str, widths: tuple[int, int, int], pairs: Sequence[tuple[int, int]], folder: Path
) -> list[int]:
    """Products of `module(x, y, product)` by iverilog; `widths` of x, y and product."""
    need("iverilog", "vvp")
    w, v, bits = widths
    (folder / "design.v").write_text(verilog)
    (folder / "pairs.hex").write_text("".join(f"{x << v | y:x}\n" for x, y in pairs))
    (folder / "bench.v").write_text(
        f"""
        module bench;
            reg [{w + v - 1}:0] pairs [0:{len(pairs) - 1}];
            reg [{w - 1}:0] x;
            reg [{v - 1}:0] y;
            wire [{bits - 1}:0] product;
            integer k;
            {module} dut (.x(x), .y(y), .product(product));
            initial begin
                $readmemh("pairs.hex", pairs);
                for (k = 0; k < {len(pairs)}; k = k + 1) begin
                    {{x, y}} = pairs[k];
                    #1 $display("%h", product);
                end
            end
        endmodule
        """
    )
    compiled = run("iverilog", "-g2001", "-Wall", "-s", "bench", "-o", "bench", "design.v", "bench.v", folder=folder)
    assert "design.v" not in compiled.stderr, compiled.stderr
    done = run("vvp", "-n", "bench", folder=folder)
    return [int(line, 16) for line in done.stdout.split()]


def equivalent_in_yosys(verilog: str, blif: str, folder: Path) -> bool:
    """Whether yosys proves Verilog module `gold` equal to BLIF model `gate`, as it reads them."""
    need("yosys")
    (folder / "gold.v").write_text(verilog)
    (folder / "gate.blif").write_text(blif)
    script = (
        "read_verilog gold.v; hierarchy -check -top gold; check -assert; flatten; opt_clean; "
        "read_blif -wideports gate.blif; equiv_make gold gate equiv; hierarchy -top equiv; opt_clean; "
        "equiv_simple; equiv_status -assert"
    )
    return run("yosys", "-q", "-p", script, folder=folder, check=False).returncode == 0


def equivalent_in_abc(verilog: str, blif: str, folder: Path) -> bool:
    """Whether ABC proves Verilog module `gold`, read by yosys, equal to a BLIF model that it reads itself."""
    need("yosys", "yosys-abc")
    (folder / "gold.v").write_text(verilog)
    (folder / "gate.blif").write_text(blif)
    script = "read_verilog gold.v; hierarchy -check -top gold; flatten; aigmap; opt_clean; write_blif gold.blif"
    run("yosys", "-q", "-p", script, folder=folder)
    done = run("yosys-abc", "-c", "cec gold.blif gate.blif", folder=folder)
    assert "Networks are" in done.stdout, done.stdout
    return "Networks are equivalent" in done.stdout
