"""`python -m circuits metrics`, its heat maps, and what `show` adds: what is printed, drawn and refused."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from circuits_commands import refuse, run
from matplotlib.colors import SymLogNorm

from circuits import Design, DesignError, closed_form_metrics, design, error_metrics, error_surface
from circuits.commands import main
from circuits.commands.error_table import format_estimate
from circuits.drawing.heatmap import draw_surfaces, save_surfaces
from circuits.engine.matrix_products import product_methods
from circuits.engine.matrix_products.product_methods import ProductMethod, choose_method, find_method, refusals

FEW = ("--samples", "20000")


def test_the_table_prints_closed_forms_below_the_sampled_values(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "metrics", "axfpm", "heap", *FEW)
    assert max(map(len, out.splitlines())) <= 100
    m = error_metrics(design("axfpm"), samples=20000)
    assert format_estimate(m.mred) in out
    lines = out.splitlines()
    (mred,) = [k for k, line in enumerate(lines) if line.startswith("MRED, mean of ratios")]
    assert lines[mred + 1].split() == ["closed", "form", "0.386294"]
    assert "axfpm: P = (X & 0x1) * Y + 2 * (X & 0xFFFFFE) * (Y & 0x800000); its error has rank 1." in out
    assert out.endswith("\nClosed forms leave out the rounding of operands and results.\n")
    assert "closed form" not in run(capsys, "metrics", "heap", *FEW)


def test_json_and_csv_equal_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--distribution", "mantissa", "--seed", "3", *FEW)
    m = error_metrics(design("axfpm"), samples=20000, seed=3, distribution="mantissa")
    form = closed_form_metrics(design("axfpm"), distribution="mantissa")
    assert form is not None
    (record, other) = json.loads(run(capsys, "metrics", "axfpm", "heap", "--format", "json", *options))["designs"]
    assert record["errors"] == json.loads(json.dumps(m.to_dict()))
    assert record["closed_form"] == form.to_dict()
    assert other["closed_form"] is None
    rows = list(csv.DictReader(io.StringIO(run(capsys, "metrics", "axfpm", "--format", "csv", *options))))
    (nmed,) = [row for row in rows if (row["group"], row["quantity"]) == ("errors", "nmed")]
    assert (float(nmed["value"]), float(nmed["low"]), float(nmed["high"])) == (m.nmed.value, m.nmed.low, m.nmed.high)
    (exact,) = [row for row in rows if (row["group"], row["quantity"]) == ("closed form", "nmed")]
    assert (float(exact["value"]), exact["low"]) == (form.nmed, "")


def test_the_method_changes_what_is_printed_and_the_backend_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "small.toml"
    path.write_text(Design(format=None, width=5, placement="ama1", name="small").to_toml(), encoding="utf-8")
    outputs = {
        (method, backend): run(capsys, "metrics", str(path), "--method", method, "--backend", backend, *FEW)
        for method in ("exhaustive", "sampled")
        for backend in ("auto", "interpreted", "compiled")
    }
    assert len(set(outputs.values())) == 2
    assert "exhaustive, 1024 pairs" in outputs["exhaustive", "auto"].replace("\n", " ").replace("  ", "")
    assert "error: method='exhaustive' needs" in refuse(capsys, "metrics", "axfpm", "--method", "exhaustive")


def test_a_users_operands_are_measured_in_their_order(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """x is the first operand; axfpm does not commute, so an exchange would show."""
    rng = np.random.default_rng(0)
    x, w = rng.uniform(0.5, 3, (2, 500)).astype(np.float32)
    path = tmp_path / "layer.npz"
    np.savez(path, x=x, w=w)
    (record,) = json.loads(run(capsys, "metrics", "axfpm", "--operands", str(path), "--format", "json"))["designs"]
    assert record["errors"] == json.loads(json.dumps(error_metrics(design("axfpm"), operands=(x, w)).to_dict()))
    assert record["errors"] != json.loads(json.dumps(error_metrics(design("axfpm"), operands=(w, x)).to_dict()))
    assert record["closed_form"] is None
    assert (record["errors"]["method"], record["errors"]["samples"]) == ("trace", 500)


def test_unusable_operand_files_are_refused_with_the_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)) == (
        f"error: {path} must be a readable .npz file, but: No such file or directory; check it."
    )
    path.write_bytes(b"no archive")
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)) == (
        f"error: {path} must be a .npz file, but: File is not a zip file; write it with numpy.savez."
    )
    np.savez(path, x=np.ones(3), y=np.ones(3))
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)) == (
        f"error: {path} must hold arrays x and w, but holds x, y; save them by those names."
    )
    np.savez(path, x=np.ones(3), w=np.array(["a", "b", "c"]))
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)) == (
        f"error: array w in {path} must hold numbers, but has dtype <U1; convert it."
    )
    np.savez(path, x=np.ones(3), w=np.array([1, {}, None], dtype=object))
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)).startswith(
        f"error: {path} must hold arrays of numbers, but: Object arrays cannot be loaded when allow_pickle=False"
    )
    np.savez(path, x=np.ones(3), w=np.ones(2))
    assert "operands must broadcast, but have shapes (3,) and (2,)" in refuse(
        capsys, "metrics", "axfpm", "--operands", str(path)
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refuse(capsys, "metrics", "axfpm", "--operands", str(path)).startswith(
        f"error: {path} must be a .npz file, but: "
    )


def test_surfaces_equal_the_api_and_go_to_a_file_or_a_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    surface = error_surface(design("heap"), bins=3, samples=20000)
    (record,) = json.loads(run(capsys, "metrics", "heap", "--surface", "3", "--format", "json", *FEW))["surfaces"]
    assert record == json.loads(json.dumps(surface.to_dict()))
    rows = list(csv.DictReader(io.StringIO(run(capsys, "metrics", "heap", "--surface", "3", "--format", "csv", *FEW))))
    assert len(rows) == 9
    row = rows[1 * 3 + 2]
    assert (float(row["x_low"]), float(row["w_low"])) == (surface.x_edges[1], surface.w_edges[2])
    assert (int(row["count"]), float(row["bias"])) == (surface.count[1, 2], surface.bias[1, 2])
    path = tmp_path / "heap.svg"
    out = run(capsys, "metrics", "heap", "axfpm", "--surface", "4", "-o", str(path), *FEW)
    assert out == f"{path}: heap (reconstructed), axfpm\n"
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert refuse(capsys, "metrics", "heap", "--surface", "4", *FEW) == (
        "error: an error surface must go to a file or be printed as json or csv, but got the table format; add -o "
        "FILE.png or --format csv."
    )
    assert refuse(capsys, "metrics", "heap", "-o", "a.png") == (
        "error: -o draws error surfaces and needs --surface BINS, but got none; give --surface 32, say."
    )
    assert refuse(capsys, "metrics", "heap", "--surface", "0").startswith(
        "error: argument --surface: it must be an integer from 1"
    )
    assert [*tmp_path.iterdir()] == [path]


def test_heat_maps_show_the_numbers_with_the_second_operand_across(tmp_path: Path) -> None:
    surface = error_surface(design("axfpm"), bins=5, samples=20000)
    figure = draw_surfaces([surface])
    for axes, values in zip(figure.axes[:2], (surface.mred, surface.bias), strict=True):
        (mesh,) = axes.collections
        np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(5, 5), values)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("second operand w", "first operand x")
    for suffix in (".png", ".svg"):
        paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
        for path in paths:
            save_surfaces([surface], path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(DesignError) as caught:
        save_surfaces([surface], tmp_path / "a.gif")
    assert str(caught.value) == f"a drawing's file must end in .png or .svg, but got '{tmp_path / 'a.gif'}'; rename it."


@pytest.mark.parametrize("scale", ["auto", "linear", "log"])
def test_all_designs_of_a_figure_share_the_colours_of_errors(scale: str) -> None:
    surfaces = [error_surface(design(name), bins=4, samples=4000) for name in ("axfpm", "heap")]
    figure = draw_surfaces(surfaces, scale)
    for column, values in ((0, [surface.mred for surface in surfaces]), (1, [surface.bias for surface in surfaces])):
        norms = [figure.axes[2 * row + column].collections[0].norm for row in range(2)]
        assert (norms[0].vmin, norms[0].vmax) == (norms[1].vmin, norms[1].vmax)
        assert norms[0].vmax == max(float(np.nanmax(np.abs(each))) for each in values)
        assert isinstance(norms[0], SymLogNorm) == (scale == "log")


@pytest.mark.parametrize(
    "multiplier", [Design(format=None, width=4), Design(format=None, width=4, signed=True)], ids=["unsigned", "signed"]
)
def test_heat_maps_are_drawn_without_errors_and_with_empty_bins(multiplier: Design, tmp_path: Path) -> None:
    save_surfaces([error_surface(multiplier, bins=40), error_surface(multiplier, bins=1)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_show_names_the_method_of_matrix_products_and_why_others_do_not_serve(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = (*FEW, "--cost-samples", "64")
    method = choose_method(design("heap"))
    reasons = refusals(design("heap"))
    assert main(["show", "heap", *few]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"matrix products {method} " in out
    assert main(["show", "heap", "--format", "json", *few]) == 0
    (heap,) = json.loads(capsys.readouterr().out)["designs"]
    assert heap["matrix_products"] == {"method": method, "refused": reasons}
    never = ProductMethod(lambda circuit: "needs what no design has", find_method("gate").run)
    monkeypatch.setattr(product_methods, "METHODS", ("never", "gate"))
    monkeypatch.setattr(product_methods, "find_method", {"never": never, "gate": find_method("gate")}.__getitem__)
    assert main(["show", "heap", *few]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "matrix products by method gate, because never needs what no design has." in out


def test_show_names_the_bilinear_form(capsys: pytest.CaptureFixture[str]) -> None:
    few = (*FEW, "--cost-samples", "64")
    assert main(["show", "axfpm_tiled", "ama4_array", *few]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "bilinear P = (X & 0x111111) * Y + 2 * (X & 0xEEEEEE) * none proved (Y & 0x888888), rank 2 (structural)" in out
    )
    assert main(["show", "axfpm_tiled", "ama4_array", "--format", "json", *few]) == 0
    tiled, other = json.loads(capsys.readouterr().out)["designs"]
    assert tiled["bilinear"] == {
        "form": "P = (X & 0x111111) * Y + 2 * (X & 0xEEEEEE) * (Y & 0x888888)",
        "rank": 2,
        "proof": "structural",
    }
    assert other["bilinear"] is None
    assert main(["show", "axfpm_tiled", "--format", "csv", *few]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    (row,) = [row for row in rows if row["quantity"] == "bilinear"]
    assert row["value"].endswith("rank 2 (structural)")
