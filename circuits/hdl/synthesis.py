"""Behavioural Verilog to gates by yosys, where it is installed; else the command that does it elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuits.errors import DesignError
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes

TIME_LIMIT = 120.0
"""Seconds that yosys may take."""
_MAXIMUM_OUTPUT = 64 * 1024 * 1024
_MODULE = re.compile(r"[A-Za-z_][\w$]{0,200}")

# Everything becomes yosys's one-bit gates ($_AND_, $_MUX_, ...); what is undriven or x becomes 0. No abc: it would
# rebuild the circuit, and here a circuit is to stay as near to the author's as its operators allow.
_STEPS = (
    "hierarchy -check {top}",
    "proc",
    "flatten",
    "{ports}",
    "opt",
    "memory",
    "alumacc",
    "maccmap -unmap",
    "opt -fast",
    "techmap",
    "opt -fast",
    "setundef -zero -undriven",
    "opt_clean -purge",
    "write_verilog -noattr -noexpr {output}",
)


@dataclass(frozen=True)
class Synthesised:
    """`text`: structural Verilog. `signed_ports`: those declared signed, which yosys may leave out of its Verilog.
    `command`: what was run, as one would type it."""

    text: str
    signed_ports: frozenset[str]
    command: str


def synthesise(files: Sequence[Path], *, top: str | None = None, time_limit: float = TIME_LIMIT) -> Synthesised:
    """The Verilog `files` as one flat module of gates, by yosys in a temporary folder.

    DesignError where yosys is not installed (the message is the command to run elsewhere), refuses the files, or takes
    more than `time_limit` seconds.
    """
    if top is not None and not _MODULE.fullmatch(top):
        raise DesignError(f"the top module must be a plain name for yosys, but got {top!r}; rename the module.")
    if not is_installed():
        raise DesignError(
            "yosys must be installed for --synthesise, but is not on the PATH; install it, or run where it is: "
            f"{by_hand(files, top)}"
        )
    for path in files:
        read_bytes(path, limit=_MAXIMUM_OUTPUT, what="a Verilog file")  # one clear line instead of yosys's words
    with tempfile.TemporaryDirectory(prefix="synthesis-") as folder:
        gates, ports = Path(folder, "gates.v"), Path(folder, "ports.json")
        command = _command([path.resolve() for path in files], top, gates.name, ports.name)
        _run([command[0], "-q", *command[1:]], folder, time_limit)
        text = read_bytes(gates, limit=_MAXIMUM_OUTPUT, what="yosys's netlist").decode("utf-8", "replace")
        signed = _signed_ports(read_bytes(ports, limit=_MAXIMUM_OUTPUT, what="yosys's list of ports"))
    return Synthesised(text, signed, shlex.join(_command(files, top, _output(files))))


def is_installed() -> bool:
    """Whether yosys can be run."""
    return shutil.which("yosys") is not None


def by_hand(files: Sequence[Path], top: str | None) -> str:
    """What to type where yosys is, and then here."""
    output = _output(files)
    return f"{shlex.join(_command(files, top, output))} and then: python -m circuits import {shlex.quote(output)}"


def _output(files: Sequence[Path]) -> str:
    return f"{files[0].stem}_gates.v"


def _command(files: Sequence[Path], top: str | None, output: str, ports: str | None = None) -> list[str]:
    """yosys's command; `ports` names the JSON file for the ports, which only this program needs."""
    words = {
        "top": "-auto-top" if top is None else f"-top {top}",
        "output": output if re.fullmatch(r"[\w.+-]+", output) else f'"{output}"',
        "ports": f"write_json {ports}",
    }
    steps = [step for step in _STEPS if ports is not None or step != "{ports}"]
    script = "; ".join(steps).format(**words)
    # Deferred: of a file with a test bench only what the top module needs is elaborated.
    system_verilog = any(path.suffix.lower() in (".sv", ".svh") for path in files)
    frontend = "verilog -defer -sv" if system_verilog else "verilog -defer"
    names = [f"./{path}" if str(path).startswith("-") else str(path) for path in files]
    return ["yosys", "-f", frontend, "-p", script, *names]


def _run(command: Sequence[str], folder: str, time_limit: float) -> None:
    """Runs yosys with its children in a process group of their own, none of which outlives this call."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            raise DesignError(
                f"yosys must finish within {time_limit:g} s, but did not; import a smaller part of the circuit."
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or [f"status {process.returncode}"]
        raise DesignError(
            f"yosys must read the files, but: {errors[0].rstrip('.')}; correct them, or name the multiplier's module "
            "with --top where others stand beside it."
        )


def _signed_ports(document: bytes) -> frozenset[str]:
    """The signed ports of the only module left after flattening, or of the one that is marked as the top."""
    modules = parse_json(document, "yosys's list of ports")["modules"]
    tops = [module for module in modules.values() if "top" in module.get("attributes", {})] or list(modules.values())
    return frozenset(name for name, port in tops[0]["ports"].items() if port.get("signed"))
