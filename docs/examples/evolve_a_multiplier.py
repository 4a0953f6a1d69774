"""Evolves a 4 x 4 multiplier under three limits on its mean error and prints what it costs beside the exact one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from circuits import Design, cost_report, error_metrics


def main() -> None:
    """Prints a line for each circuit."""
    seed = Design(topology="dadda", width=4, format=None, name="dadda4")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dadda4.toml").write_text(seed.to_toml())
        effort = ["--evaluations", "10000", "--restarts", "1", "--workers", "1", "--out", str(folder / "out")]
        command = [sys.executable, "-m", "dse.evolve", str(folder / "dadda4.toml"), "--sweep", "mae_percent=0.3,1,3"]
        subprocess.run([*command, *effort], check=True)
        circuits = [seed, *(Design.load(path) for path in sorted((folder / "out").glob("*.toml")))]
    for circuit in circuits:
        error, energy = error_metrics(circuit).med.value, cost_report(circuit).drawn.energy
        print(f"{circuit.label:12} mean error {error:5.2f}, {energy:5.1f} fJ")


if __name__ == "__main__":
    main()
