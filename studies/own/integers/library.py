"""Compares the library of evolved multipliers with EvoApproxLib's in energy at equal error.

For every published circuit: the least energy of ours with no greater error, for MAE, WCE and MRED. With `--library DIR`
the user's copy of EvoApproxLib is measured as well, and compared with what its file headers print.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuits import Design, cost_report, error_metrics, netlist_from_verilog
from circuits.designs import LIBRARY
from circuits.drawing.figure_files import render
from circuits.errors import DesignError
from circuits.support.files import read_text
from circuits.support.statistics import rank_correlation
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own.integers.published_multipliers import MULTIPLIERS, contenders

TITLE = "evolved library against EvoApproxLib, energy at equal error"
SOURCE = "EvoApproxLib (DATE 2017), errors as published; energies of both by this project"
TOLERANCE = None

METRICS = ("mae", "wce", "mred")
_HEADERS = {
    "mae": r"MAE\s*%\s*=\s*([0-9.eE+-]+)",
    "wce": r"WCE\s*%\s*=\s*([0-9.eE+-]+)",
    "error_rate": r"EP\s*%\s*=\s*([0-9.eE+-]+)",
    "mred": r"MRE\s*%\s*=\s*([0-9.eE+-]+)",
    "power": r"PDK45_PWR\s*=\s*([0-9.eE+-]+)",
}
_ERRORS = ("mae", "wce", "error_rate", "mred")
_MAXIMUM_BYTES = 1 << 22


@dataclass(frozen=True)
class _Measured:
    """Errors in per cent, as EvoApproxLib prints them, and energy in fJ."""

    name: str
    mae: float
    wce: float
    error_rate: float
    mred: float
    energy: float


def run(options: StudyOptions) -> StudyResult:
    """Measures the unsigned circuits of the library, and with `--library` the user's files."""
    # First of all, because a mistake in the path should show at once.
    paths = None if options.library is None else library_files(options.library)
    ours = [_measured(LIBRARY[name], name) for name in LIBRARY if name.startswith("u8_")]
    ours.append(_measured(Design(topology="dadda", width=8, format=None), "exact Dadda"))
    rows: list[Row] = []
    summary = []
    for metric in METRICS:
        best = contenders(metric)
        wins = 0
        for theirs in MULTIPLIERS:
            if not 0 < theirs.mae < 24:
                continue
            error = getattr(theirs, metric)
            ours_then = min((m for m in ours if getattr(m, metric) <= error), key=lambda m: m.energy)
            wins += theirs in best and ours_then.energy <= theirs.energy
            remark = f"{ours_then.name}" + ("" if theirs in best else "; another published one beats it")
            subject = f"{metric.upper()} at most {error:g} %, mul8u_{theirs.name}"
            rows.append(Row(subject, "energy", ours_then.energy, theirs.energy, unit="fJ", remark=remark))
        rows.append(Row(metric.upper(), f"of {len(best)} unbeaten circuits matched or beaten", wins, unit="count"))
        summary.append(f"{wins} of {len(best)} by {metric.upper()}")
    files = library_rows(paths) if paths is not None else []
    rows += files
    return StudyResult(
        rows,
        "measured",
        f"of the published circuits that no other one beats, ours need no more energy at no greater error for "
        f"{', '.join(summary)}.{_of_files(files)}",
        {"circuits": len(ours), "samples": 2048},
        figures=_figures(ours),
    )


def _measured(circuit: Design, name: str) -> _Measured:
    errors = error_metrics(circuit)
    percent = 100 / 2.0 ** sum(circuit.shape)
    return _Measured(
        name,
        errors.med.value * percent,
        errors.worst_case * percent,
        100 * errors.error_rate.value,
        100 * errors.mred.value,
        cost_report(circuit).drawn.energy,
    )


def library_files(folder: Path) -> list[Path]:
    """The 8x8 unsigned multipliers in a copy of EvoApproxLib, mul8u_NAME.v anywhere below `folder`, each once.

    A circuit that is Pareto-optimal in several respects lies in several folders. Files mul8u_NAME_pdk45.v hold the same
    circuits mapped to cells of a library that is not part of the copy, and are left out.
    """
    by_name = {
        path.stem: path for path in sorted(folder.rglob("mul8u_*.v"), reverse=True) if not path.stem.endswith("_pdk45")
    }
    if not by_name:
        raise DesignError(f"--library must hold EvoApproxLib's files mul8u_*.v, but {folder} has none; check the path.")
    return [by_name[name] for name in sorted(by_name)]


def library_rows(paths: Sequence[Path]) -> list[Row]:
    """For every file its measured errors beside those of its header, and its energy; for all of them the share of
    printed errors that agree and the rank correlation of our energies with the printed powers."""
    rows, agreements, energies, powers = [], [], [], []
    for path in paths:
        text = read_text(path, limit=_MAXIMUM_BYTES, what="a Verilog file")
        printed = {key: match[1] for key, pattern in _HEADERS.items() if (match := re.search(pattern, text))}
        measured = _measured(Design(circuit=netlist_from_verilog(text, where=str(path)), name=path.stem), path.stem)
        for key in _ERRORS:
            error = getattr(measured, key)
            agrees = key in printed and _rounds_to(error, printed[key])
            remark = "" if key not in printed else "agrees" if agrees else "differs from the header"
            published = float(printed[key]) if key in printed else None
            rows.append(Row(f"file {path.stem}", key, error, published, unit="%", remark=remark))
            if key in printed:
                agreements.append(agrees)
        rows.append(Row(f"file {path.stem}", "energy", measured.energy, unit="fJ"))
        if "power" in printed:
            energies.append(measured.energy)
            powers.append(float(printed["power"]))
    if agreements:
        agreeing = sum(agreements) / len(agreements)
        rows.append(Row("files", "errors that agree with the headers", agreeing, 1.0, unit="ratio"))
    if len(powers) > 2:
        correlation = rank_correlation(energies, powers)
        rows.append(Row("files", "rank correlation of energy with the printed power", correlation, unit="ratio"))
    return rows


def _of_files(rows: Sequence[Row]) -> str:
    """What holds for all files of a copy, in a sentence; "" without a copy."""
    whole = [f"{row.quantity} {row.measured:.3g}" for row in rows if row.subject == "files"]
    count = len({row.subject for row in rows} - {"files"})
    return f" In {count} of EvoApproxLib's own files, measured here: {', '.join(whole)}." if count else ""


def _rounds_to(value: float, printed: str) -> bool:
    """Whether a printed number is `value` to as many decimals as it has, or cut off there."""
    mantissa, _, exponent = printed.lower().partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(value - float(printed)) < unit * (1 + 1e-9)


def _figures(ours: list[_Measured]) -> dict[str, bytes]:
    from matplotlib.figure import Figure

    def draw() -> Figure:
        figure = Figure(figsize=(12, 4.2), layout="constrained")
        for axes, metric in zip(figure.subplots(1, 3), METRICS, strict=True):
            theirs = [m for m in MULTIPLIERS if 0 < m.mae < 24]
            for circuits, mark, label in ((theirs, "x", "EvoApproxLib"), (ours, ".", "evolved here")):
                shown = [(getattr(m, metric), m.energy) for m in circuits if getattr(m, metric) > 0]
                axes.plot(*zip(*shown, strict=True), mark, label=label)
            axes.set_xscale("log")
            axes.set_xlabel(f"{metric.upper()} [%]")
            axes.set_ylabel("energy [fJ]")
            axes.legend(frameon=False)
        return figure

    return render(draw, salt="library")
