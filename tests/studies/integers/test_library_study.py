"""Study library on a user's copy of EvoApproxLib: files in its style, written here from circuits of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuits import Design, cost_report, error_metrics
from circuits.designs import LIBRARY
from dse.evolution.genome import FUNCTIONS, INVERT, genome_of
from studies.own.integers.library import library_files, library_rows

_OPERATORS = {
    "and2": "{} & {}",
    "nand2": "~({} & {})",
    "or2": "{} | {}",
    "nor2": "~({} | {})",
    "xor2": "{} ^ {}",
    "xnor2": "~({} ^ {})",
    "not": "~{}",
}


def verilog_of(name: str, design: Design, header: dict[str, str]) -> str:
    """An 8x8 multiplier as EvoApproxLib prints one: a header of comments, ports A, B and O, one assignment a gate."""
    genome = genome_of(design)
    nets = ["1'b0", "1'b1", *(f"A[{bit}]" for bit in range(8)), *(f"B[{bit}]" for bit in range(8))]
    lines = []
    for node in range(genome.fixed, len(genome.functions)):
        gate = FUNCTIONS[genome.functions[node]]
        inputs = [nets[genome.first[node]]] + ([nets[genome.second[node]]] if genome.functions[node] > INVERT else [])
        nets.append(f"sig_{node}")
        lines.append(f"assign sig_{node} = {'{}' if gate is None else _OPERATORS[gate.name]};".format(*inputs))
    signals = ",".join(f"sig_{node}" for node in range(genome.fixed, len(genome.functions)))
    outputs = [f"assign O[{bit}] = {nets[node]};" for bit, node in reversed(list(enumerate(genome.outputs)))]
    comments = [f"// {key} = {value}" for key, value in header.items()]
    ports = ["", f"module {name} (", "    A,", "    B,", "    O", ");", "", "input [7:0] A;", "input [7:0] B;"]
    body = ["output [15:0] O;", "", f"wire {signals};", "", *lines, "", *outputs, "", "endmodule", ""]
    return "\n".join(["/***", "* a file of the shape of EvoApproxLib's", "***/", *comments, *ports, *body])


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files in two folders, which share a circuit, and a mapped file beside them; one printed error is wrong."""
    folder = tmp_path_factory.mktemp("evoapproxlib") / "multiplers" / "8x8_unsigned"
    for k, name in enumerate(("u8_mae0.43", "u8_mae2.15", "u8_wce9.08", "u8_mred1.25")):
        design = LIBRARY[name]
        errors = error_metrics(design)
        header = {
            "MAE%": f"{errors.med.value / 655.36:.2g} %",
            "MAE": f"{errors.med.value:.0f} ",
            "WCE%": f"{errors.worst_case / 655.36:.2f} %",
            "WCE": f"{errors.worst_case:.0f} ",
            "WCRE%": "100.00 %",
            "EP%": f"{100 * errors.error_rate.value + (k == 2):.2f} %",
            "MRE%": f"{100 * errors.mred.value:.2f} %",
            "PDK45_PWR": f"{cost_report(design).drawn.energy / 1000:.5f} mW",
            "PDK45_AREA": "41.3 um2",
        }
        text = verilog_of(f"mul8u_{k}AB", design, header)
        for kind in ("pareto_pwr_mae", "pareto_pwr_wce")[: 1 + (k == 1)]:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"mul8u_{k}AB.v").write_text(text)
    (folder / "pareto_pwr_mae" / "mul8u_0AB_pdk45.v").write_text(
        "module mul8u_0AB(A, B, O); AND2X1 n1(.A(A)); endmodule"
    )
    return folder.parent


def test_every_circuit_is_measured_once_beside_its_header(copy: Path) -> None:
    paths = library_files(copy)
    assert [path.stem for path in paths] == ["mul8u_0AB", "mul8u_1AB", "mul8u_2AB", "mul8u_3AB"]
    rows = {(row.subject, row.quantity): row for row in library_rows(paths)}
    errors = error_metrics(LIBRARY["u8_mae2.15"])
    mred = rows["file mul8u_1AB", "mred"]
    assert mred.measured == pytest.approx(100 * errors.mred.value)
    assert mred.published == pytest.approx(mred.measured, abs=0.006)
    assert rows["file mul8u_1AB", "wce"].measured == pytest.approx(errors.worst_case / 655.36)
    differing = [key for key, row in rows.items() if row.remark == "differs from the header"]
    assert differing == [("file mul8u_2AB", "error_rate")]
    assert rows["files", "errors that agree with the headers"].measured == 15 / 16
    # The powers were printed from the same cost model.
    assert rows["files", "rank correlation of energy with the printed power"].measured == pytest.approx(1)
    energy = rows["file mul8u_3AB", "energy"].measured
    assert energy == pytest.approx(cost_report(LIBRARY["u8_mred1.25"]).drawn.energy, rel=0.02)


def test_a_folder_without_multipliers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"--library must hold EvoApproxLib's files mul8u_\*\.v, but .* has none"):
        library_files(tmp_path)
