"""Runs ngspice in batch mode and reads its binary result.

A deck is: title, model files, temperature, options, supply, the caller's body (cells, sources, loads), what to save,
and a transient analysis. Gear integration and tight charge tolerances keep the energies of 1e-16 J apart from the
integration error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from circuits.errors import DesignError
from circuits.support.files import open_file

VOLTAGE = 1.0
"""Supply, V."""
TEMPERATURE = 25
"""Degrees Celsius."""
MAXIMUM_MODEL_BYTES = 1 << 24
"""Largest file of a transistor model."""

Waves = Mapping[str, NDArray[np.float64]]
"""Signal -> its value at each time of "time" (s); voltages by net name, currents through source NAME as "i(vNAME)",
positive into its first terminal: the supply's is negative while it delivers."""


def ngspice() -> str:
    """The simulator's path; DesignError (one line) when it is not installed."""
    path = shutil.which("ngspice")
    if path is None:
        raise DesignError("ngspice must be installed to characterise cells, but is not found; install it.")
    return path


def version() -> str:
    """The simulator's name and version, e.g. "ngspice-39"."""
    text = subprocess.run([ngspice(), "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"ngspice-[0-9.]+", text)
    return match[0] if match else "ngspice"


def model_files(folder: Path, corner: str) -> tuple[Path, Path]:
    """The NMOS and PMOS model files of a corner in `folder`; DesignError names the missing one."""
    files = folder / f"NMOS_VTG.{corner}.inc", folder / f"PMOS_VTG.{corner}.inc"
    for path in files:
        if not path.exists():
            raise DesignError(
                f"the model folder must hold {path.name}, but {folder} does not; give the folder of the FreePDK45 "
                f"transistor models with --models."
            )
        with open_file(path, limit=MAXIMUM_MODEL_BYTES):
            pass  # only checked here: ngspice opens it by its name
    return files


def simulate(body: str, models: Sequence[Path], signals: Sequence[str], *, stop: float, step: float) -> Waves:
    """Transient analysis of a deck from 0 to `stop` (s) with steps of at most `step`; keeps `signals`.

    `body`: the deck without title, models, supply and analysis; the supply is net vdd (source vdd), ground net 0.
    Raises DesignError with ngspice's own words when it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deck = [
            "* deck",
            *(f".include {path.resolve()}" for path in models),
            f".temp {TEMPERATURE}",
            ".options method=gear reltol=1e-3 abstol=1e-14 chgtol=1e-17 trtol=3 gmin=1e-14",
            f"vdd vdd 0 {VOLTAGE}",
            body,
            f".save {' '.join(signals)}",
            f".tran {step:g} {stop:g} 0 {step:g}",
            ".end",
            "",
        ]
        (folder / "deck.sp").write_text("\n".join(deck), encoding="utf-8")
        # One thread: ngspice's OpenMP threads wait busily for one another, which is slower beside other work.
        (folder / ".spiceinit").write_text("set num_threads=1\n", encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [ngspice(), "-b", "-r", "out.raw", "deck.sp"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        raw = folder / "out.raw"
        if not raw.is_file() or "aborted" in done.stderr.lower() + done.stdout.lower():
            said = next((line for line in (done.stderr + done.stdout).splitlines() if "rror" in line), "no result")
            raise DesignError(
                f"ngspice must simulate the deck, but says: {said.strip()}; check the netlist and models."
            )
        return _read_raw(raw.read_bytes())


def _read_raw(data: bytes) -> Waves:
    """The binary raw file: a text header, then one row of doubles for each time."""
    head, _, values = data.partition(b"Binary:\n")
    text = head.decode("latin-1")
    variables = int(re.findall(r"No. Variables:\s*(\d+)", text)[0])
    points = int(re.findall(r"No. Points:\s*(\d+)", text)[0])
    names = [line.split()[1] for line in text.partition("Variables:\n")[2].splitlines()[:variables]]
    names = [re.sub(r"^v\((.*)\)$", r"\1", name.lower()) for name in names]
    table = np.frombuffer(values, dtype="<f8", count=points * variables).reshape(points, variables)
    return {name: table[:, k] for k, name in enumerate(names)}
