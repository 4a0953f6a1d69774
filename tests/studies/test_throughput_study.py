"""The study of speed: what its rows compare is the same work, and what cannot be measured is left out with a reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuits import Design, design
from circuits.engine.known_operands.wide_kernels import KERNELS
from circuits.support import cli
from circuits.support.processor import DEVICE_VARIABLE
from cnn_eval.layers.convolution import Geometry
from studies.commands import main
from studies.frame.study import Row, StudyOptions
from studies.throughput import thread_throughput, throughput, timing
from studies.throughput.products import measured_layers, method_throughput
from studies.throughput.products.measured_layers import MeasuredLayer, real_layer, serving


def small_layer(groups: int = 1) -> MeasuredLayer:
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(2, 4, 6, 6)), 0).astype(np.float32)
    weight = rng.normal(size=(8, 4 // groups, 3, 3)).astype(np.float32)
    return MeasuredLayer("small", x, weight, Geometry(padding=(1, 1, 1, 1), groups=groups))


@pytest.mark.parametrize("groups", [1, 4])
def test_the_engine_computes_the_layer_that_torch_computes(groups: int) -> None:
    layer = small_layer(groups)
    out = layer.torch_layer()().numpy()
    assert layer.products == out.size * 4 // groups * 9
    assert np.allclose(layer.engine_layer(design("exact"), "gate")(), out, rtol=1e-4, atol=1e-5)
    linear = MeasuredLayer("linear", layer.x.reshape(2, -1), np.ones((3, 144), dtype=np.float32))
    assert np.allclose(linear.engine_layer(design("exact"), "gate")(), linear.torch_layer()().numpy(), rtol=1e-4)


def test_every_wide_kernel_computes_the_same_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: dict[str, np.ndarray] = {}
    run_wide = measured_layers.run_wide

    def run(*arguments: Any, kernel_name: str) -> None:
        run_wide(*arguments, kernel_name=kernel_name)
        outputs[kernel_name] = arguments[3]

    monkeypatch.setattr(measured_layers, "run_wide", run)
    layer = small_layer()
    for kernel in KERNELS:
        layer.wide_layer(design("heap"), kernel)()
    assert tuple(outputs) == KERNELS
    expected = layer.engine_layer(design("heap"), "gate")()
    for output in outputs.values():
        assert (output == expected).all()


def test_integer_designs_get_all_of_their_codes() -> None:
    exact = Design(format=None, width=8, signed=True)
    layer = small_layer()
    out = layer.engine_layer(exact, "auto")()
    assert out.dtype == np.int32
    scale = 127 / np.abs(layer.x).max() * 127 / np.abs(layer.weight).max()
    assert np.allclose(out / scale, layer.torch_layer()().numpy(), atol=0.3)


def test_real_activations_are_those_of_the_network() -> None:
    layer = real_layer("lenet5", "LeNet-5", "conv2", "mnist", 3)
    assert layer.x.shape == (3, 6, 12, 12)
    assert layer.weight.shape == (16, 6, 5, 5)
    assert 0.2 < (layer.x == 0).mean() < 0.8


def test_methods_that_do_not_exist_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serving(design("heap"), "gate")
    assert not serving(design("heap"), "nosuch")
    formats = tuple((multiplier, "nosuch", target) for multiplier, _, target in method_throughput._FORMATS)
    monkeypatch.setattr(method_throughput, "_FORMATS", formats)
    monkeypatch.setattr(method_throughput, "_by_avx2", lambda rounds: [])
    assert method_throughput.rows(1) == []


@pytest.mark.parametrize(("load", "reason"), [(0.1, ""), (0.31, "others use 0.31 cores")])
def test_two_threads_are_measured_where_others_leave_the_machine_alone(
    load: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_throughput, "load_of_others", lambda: load)
    monkeypatch.setattr(thread_throughput, "default_threads", lambda: 2)
    assert thread_throughput.obstacle() == reason
    themes = {"threads": lambda *_: [Row("t", "2 over 1", 1.9)], "methods": lambda *_: [Row("f", "speed", 0.5)]}
    monkeypatch.setattr(throughput, "MEASUREMENTS", themes)
    result = throughput.run(StudyOptions(level="quick"))
    assert [row.subject for row in result.rows] == (["f"] if reason else ["t", "f"])
    assert ("2 threads over one: not measured, because others use 0.31 cores." in result.reason) == bool(reason)


def test_the_load_of_others_is_what_the_busy_time_grows_by(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, load in (((7.0, 7.02), 2.0), ((7.0, 7.0), 0.0), ((None, 7.0), None), ((7.0, None), None)):
        monkeypatch.setattr(timing, "_busy_seconds", iter(seconds).__next__)
        assert timing.load_of_others(0.01) == (None if load is None else pytest.approx(load))


def test_time_spent_idle_or_waiting_for_a_disk_is_not_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "stat"
    monkeypatch.setattr(timing, "Path", lambda path: {"/proc/stat": text}[path])
    assert timing._busy_seconds() is None
    # user, nice, system, idle, waiting for a disk, interrupts, soft interrupts, stolen, and two kinds of guests
    text.write_text("cpu  100 20 3 5000 6000 400 77 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n", encoding="ascii")
    assert timing._busy_seconds() == pytest.approx(600 / os.sysconf("SC_CLK_TCK"))


def test_a_row_names_its_ratio_target_speed_and_method() -> None:
    row = timing.speed_row("layer", "a over b", 1000, 2.0, 1.0, 0.35, "table")
    assert row.measured == 0.5
    assert row.remark == "target: at least 0.35; 500 products/s by method table"


def test_only_one_study_runs_on_a_device(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    monkeypatch.setattr(cli, "load_driver", lambda: None)  # with or without a device
    assert main(["run", "table2", "throughput", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == (
        "error: --device is for the study throughput, but got table2, throughput; leave it out.\n"
    )
