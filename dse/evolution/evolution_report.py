"""What an evolution leaves beside its checkpoints: circuits, front.csv, plots and report.html; and the library's
folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from circuits.cost.cost_model import cost_report
from circuits.designs.design_record import Design
from circuits.drawing.figure_files import render
from circuits.drawing.front_drawing import front_figure
from circuits.support.files import require_writable, write_atomically
from dse.evolution.evolution_run import EvolutionOptions
from dse.evolution.evolved_circuits import EvolvedCircuit, summary, write_circuit
from dse.explore.front import non_dominated

REPORT = "report.html"
_PLOTTED = {"med": "nmed", "mred_percent": "mred"}
"""Metrics that are plotted as another one, of which they are a multiple."""


def write_results(
    folder: Path, options: EvolutionOptions, circuits: Sequence[EvolvedCircuit], command: str
) -> list[str]:
    """Writes all files; returns their names, those of the circuits in short."""
    for provenance, circuit in zip(provenances(options, command), circuits, strict=True):
        write_circuit(folder, circuit, provenance)
    rows = [
        {"circuit": str(c.design.name), "limits": c.limits.text, "verdict": c.verdict, **summary(c)} for c in circuits
    ]
    names = []
    limited = [_PLOTTED.get(metric, metric) for target in options.targets for metric, _ in target.limits.bounds]
    for metric in dict.fromkeys(limited):
        points = [[abs(row[metric]), row[options.objective]] for row in rows]
        best = non_dominated(points)
        marked = [{**row, metric: abs(row[metric]), "front": bool(on)} for row, on in zip(rows, best, strict=True)]
        for row, on in zip(rows, best, strict=True):
            row[f"front {metric}"] = "yes" if on else ""
        figure = partial(front_figure, marked, metric, options.objective)
        for kind, content in render(figure, salt=f"evolution {metric}").items():
            names.append(f"pareto_{metric}_{options.objective}.{kind}")
            write_atomically(folder / names[-1], content)
    write_atomically(folder / "front.csv", _csv(rows).encode())
    plots = [(folder / name).read_text(encoding="utf-8") for name in names if name.endswith(".svg")]
    write_atomically(folder / REPORT, _page(options, rows, plots, command).encode())
    return [f"{len(circuits)} circuits (.toml, .v)", "front.csv", *names, REPORT]


def provenances(options: EvolutionOptions, command: str) -> list[dict[str, str]]:
    """For each target, where its circuit comes from: the comments in its file."""
    return [
        {"evolved from": ", ".join(seed.label for seed in target.seeds), "seed": str(options.seed), "command": command}
        for target in options.targets
    ]


def update_library(
    folder: Path, options: EvolutionOptions, circuits: Sequence[EvolvedCircuit], command: str
) -> tuple[int, int]:
    """Puts circuits that meet their limits into `folder`, unless one of the same name there needs no more of the
    objective.

    Returns (how many were written, how many of these replaced another one). No Verilog: `export` writes it.
    """
    require_writable(folder)
    written = replaced = 0
    for provenance, circuit in zip(provenances(options, command), circuits, strict=True):
        path = folder / f"{circuit.design.name}.toml"
        exists = path.exists()
        if not circuit.within or (
            exists and _value(path, options.objective) <= circuit.cost.value("drawn", options.objective)
        ):
            continue
        write_circuit(folder, circuit, provenance, verilog=False)
        written += 1
        replaced += exists
    return written, replaced


def _value(path: Path, objective: str) -> float:
    return cost_report(Design.load(path)).value("drawn", objective)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [",".join(rows[0])]
    for row in rows:
        texts = [f"{value:.8g}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append(",".join(f'"{text}"' if "," in text else text for text in texts))
    return "\n".join(lines) + "\n"


def _page(options: EvolutionOptions, rows: Sequence[Mapping[str, Any]], plots: Sequence[str], command: str) -> str:
    """A self-contained page: the command, the plots, a table of the circuits."""
    heads = Markup("").join(Markup("<th>{}</th>").format(name) for name in rows[0])
    body = []
    for row in rows:
        texts = (f"{value:.5g}" if isinstance(value, float) else str(value) for value in row.values())
        body.append(Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(text) for text in texts)))
    seeds = ", ".join(dict.fromkeys(seed.label for target in options.targets for seed in target.seeds))
    style = (
        "body{font-family:sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:right}"
        "td:first-child{text-align:left}"
    )
    drawings = "".join(plot[plot.index("<svg") :] for plot in plots)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Evolution</title>',
            f"<style>{style}</style>",
            f"</head><body><h1>Evolution of {escape(seeds)}</h1><p><code>{escape(command)}</code></p>",
            f"<p>{options.evaluations:,} circuits tried for each of {len(rows)} sets of limits; least",
            f"{options.objective}; seed {options.seed}. Errors over all operands unless the verdict says otherwise,",
            f"cost as drawn, without glitches.</p>{drawings}<table><tr>{heads}</tr>{''.join(body)}</table>",
            "</body></html>\n",
        ]
    )
