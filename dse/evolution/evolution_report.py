"""What an evolution leaves beside its checkpoints: circuits, front.csv, plots and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuits.support.files import write_atomically
from dse.evolution.evolution_run import EvolutionOptions
from dse.evolution.evolved_circuits import EvolvedCircuit, summary, write_circuit


def write_results(folder: Path, options: EvolutionOptions, circuits: Sequence[EvolvedCircuit], command: str) -> list[str]:
    """Writes all files; returns their names, those of circuits in short."""
    for target, circuit in zip(options.targets, circuits, strict=True):
        provenance = {"evolved from": target.design.label, "command": command}
        write_circuit(folder, circuit, provenance)
    write_atomically(folder / "front.csv", _csv(circuits).encode())
    return [f"{len(circuits)} circuits (.toml, .v)", "front.csv"]


def _csv(circuits: Sequence[EvolvedCircuit]) -> str:
    columns = list(summary(circuits[0]))
    lines = [",".join(["circuit", "limits", "verdict", *columns])]
    for circuit in circuits:
        numbers = summary(circuit)
        lines.append(",".join([str(circuit.design.name), f'"{circuit.limits.text}"', circuit.verdict, *(f"{numbers[c]:.8g}" for c in columns)]))
    return "\n".join(lines) + "\n"
