"""Hostile files: every command that reads a kind of file refuses them in one line, soon and in little memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from circuits import Design, DesignError
from circuits.commands import main as circuits_main
from circuits.cost.characterize.subcircuit import MAXIMUM_BYTES, read_subcircuit
from circuits.engine.llvm import jit
from circuits.support import documents
from circuits.support.archives import MAX_DIRECTORY_BYTES
from circuits.support.documents import (
    MAX_DEPTH,
    MAX_ESCAPES,
    MAX_LEVELS,
    MAX_TOML_BYTES,
    MAX_VALUES,
    MAX_WORD,
    parse_json,
)
from circuits.support.files import read_bytes, read_text
from cnn_eval import DataError
from cnn_eval.commands import main as cnn_main
from cnn_eval.support.verified_files import read_record
from dse.plot import main as plot_main
from dse.present.artifacts import _record_of
from dse.results import main as results_main
from dse.search import main as search_main
from studies.commands import main as studies_main
from studies.frame.result_digest import KEY, content_digest

Content = Callable[[Path], None]
Command = Callable[[Path], int]

SECONDS = 30
"""Far more than the 2 s that a refusal may take, so that no test fails on a busy machine."""
MEGABYTES = 500


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Ends a test that waits, and fails one that takes long or much memory."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError("a reader must not wait")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(2 * SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - started < SECONDS
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEGABYTES * (1 << 20 if sys.platform == "darwin" else 1 << 10)


def refusal(capsys: pytest.CaptureFixture[str], command: Callable[[], int]) -> str:
    """The one line of a command that ends with status 2 and prints nothing else."""
    try:
        status = command()
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 2100
    return captured.err


# Paths that are no regular files, and files that are too large.


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 41)  # sparse: takes no space


def _missing(path: Path) -> None:
    assert not path.exists()


KINDS: dict[str, tuple[Content, str]] = {
    "missing": (_missing, ""),
    "folder": (_folder, ""),
    "fifo": (_fifo, "is a FIFO"),
    "device": (_device, "is a device"),
    "loop": (_loop, ""),
    "huge": (_huge, "must have at most "),
}

COMMANDS: dict[str, tuple[str, Command]] = {
    "design": ("a.toml", lambda p: circuits_main(["show", str(p)])),
    "cells": ("a.toml", lambda p: circuits_main(["cells", "--cells", str(p)])),
    "cells of metrics": ("a.toml", lambda p: circuits_main(["metrics", "axfpm", "--cells", str(p)])),
    "design of a network": ("a.toml", lambda p: cnn_main(["accuracy", str(p)])),
    "space": ("a.toml", lambda p: search_main(["--space", str(p), "--out", f"{p.parent}/out"])),
    "cells of a search": ("a.toml", lambda p: search_main(["--cells", str(p), "--out", f"{p.parent}/out"])),
    "operands": ("a.npz", lambda p: circuits_main(["metrics", "axfpm", "--operands", str(p)])),
    "weights .pt": ("a.pt", lambda p: _user(["--weights", str(p)])),
    "weights .safetensors": ("a.safetensors", lambda p: _user(["--weights", str(p)])),
    "images": ("a.safetensors", lambda p: _user(["--data", str(p)])),
    "results": ("a.sqlite", lambda p: results_main(["list", "--store", str(p)])),
    "plot": ("a.sqlite", lambda p: plot_main(["last", "--store", str(p), "--out", str(p.parent)])),
}


def _user(options: list[str]) -> int:
    return cnn_main(["accuracy", "axfpm", "--model", "hostilenet:make", *options])


@pytest.fixture(autouse=True)
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's network of one layer."""
    (tmp_path / "hostilenet.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hostilenet", raising=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", COMMANDS)
def test_what_is_no_file_is_refused(reader: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, command = COMMANDS[reader]
    path = tmp_path / name
    make, expected = KINDS[kind]
    make(path)
    printed = refusal(capsys, lambda: command(path))
    assert str(path) in printed
    assert expected in printed


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_readers_without_a_command(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    make, expected = KINDS[kind]
    make(path)
    for read in (read_subcircuit, lambda p: read_text(p, limit=100), lambda p: read_bytes(p, limit=100)):
        with pytest.raises(DesignError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path} must ")
        assert expected in str(caught.value)
    with pytest.raises(DataError) as refused:
        read_record(path, advice="fetch it")
    assert str(path) in str(refused.value)
    assert str(refused.value).endswith("; fetch it.")
    assert _record_of(path) == {}  # a broken record of another run is not this run's mistake


def test_a_file_that_grows_is_read_up_to_its_limit(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r"/proc/self/maps must have at most 10 bytes, but has more; "):
        read_bytes("/proc/self/maps", limit=10)  # its size is said to be 0


def test_text_that_is_not_utf_8_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.v"
    path.write_bytes(b"\xef\xbb\xbfmodule\r\nx")
    assert read_text(path, limit=100) == "module\r\nx"
    path.write_bytes(b"module\n\xe4")
    with pytest.raises(DesignError) as caught:
        read_text(path, limit=100, what="a Verilog file")
    assert str(caught.value) == (
        f"{path} must be a Verilog file, but: line 2 has the byte 0xe4, which is no UTF-8; save it as UTF-8."
    )


# TOML.

DEEP = f"must be TOML of at most {MAX_DEPTH} levels and {MAX_DEPTH} dots in a key, but has more; flatten it."
MANY = f"must be TOML of at most {MAX_VALUES} values and lines, but has more; split it."
LONG = f"must be TOML with numbers and bare keys of at most {MAX_WORD} characters, but has "
TOML = {
    "nested arrays": ("[design]\nplacement = " + "[" * 3000 + "]" * 3000, DEEP),
    "unclosed arrays": ("a = " + "[" * 1_000_000, DEEP),
    "nested tables": ("a = " + "{a=" * 3000 + "1" + "}" * 3000, DEEP),
    "dotted keys": ("a" + ".a" * 8000 + " = 1", DEEP),
    "dotted, quoted keys": ("a" + '."a"' * 8000 + " = 1", DEEP),
    "dotted headers": ("".join(f"[a{k}{'.a' * 30}]\n" for k in range(50_000)), DEEP),
    "dotted keys in nested tables": (f"a = {('{a' + '.a' * 15 + '=') * 10}1{'}' * 10}", "of at most 64 levels, but"),
    "levels behind quotes": ('x = ["""a"""", ' + "[" * 3000, DEEP),
    "levels behind apostrophes": ("x = ['''a'''', " + "[" * 3000, DEEP),
    "keys": ("".join(f"k{k} = 1\n" for k in range(MAX_VALUES)), MANY),
    "values": (f"a = [{'1,' * MAX_VALUES}]", MANY),
    "tables": ("".join(f"[k{k}]\n" for k in range(MAX_VALUES)), MANY),
    "lines": ("\n" * MAX_TOML_BYTES, MANY),
    "an integer of 5,000 digits": ("[design]\nwidth = " + "9" * 5000, LONG),
    "an integer of 900 digits": ("[design]\nwidth = " + "9" * 900, "must be TOML with integers of at most 64 bits"),
    "a hexadecimal integer": ("[design]\nwidth = 0x" + "f" * 100_000, LONG),
    "digits with underscores": ("[design]\nwidth = 1" + "_1" * 2_000_000, LONG),
    "a long fraction": ("[design]\nwidth = 0." + "1" * 4_000_000, LONG),
    "a long key": ("x" * 4_000_000, LONG),
    "a string of escapes": ('a = "' + r"\"" * 2_000_000 + '"', f"must be TOML of at most {MAX_ESCAPES} backslashes"),
    "an unclosed string of escapes": ('a = "' + r"\"" * MAX_ESCAPES, "must be TOML, but: Unterminated string"),
    "an unclosed string of quotes": ('a = """' + '"" ' * 1_300_000, "must be TOML, but: Unterminated string"),
    "a byte that is not UTF-8": (b"a = '\xff'", "must be TOML, but: line 1 has the byte 0xff, which is no UTF-8"),
    "NUL": ("a = 'a\0'", "must be TOML, but: "),
    "nothing": ("", ""),
    "garbage": (bytes(range(256)) * 100, ""),
}


@pytest.mark.parametrize("content", TOML)
@pytest.mark.parametrize("reader", [name for name, (file, _) in COMMANDS.items() if file.endswith(".toml")])
def test_hostile_toml_is_refused_in_one_line(
    reader: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, command = COMMANDS[reader]
    path = tmp_path / name
    written, expected = TOML[content]
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    printed = refusal(capsys, lambda: command(path))
    assert str(path) in printed
    assert expected in printed
    assert not (tmp_path / "out").exists()


def test_the_largest_placement_is_far_from_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """65 x 64 cells, each on a line of its own, are read within a third of the bounds."""
    names = np.random.default_rng(0).choice(["ama1", "ama2", "exact"], (65, 64)).tolist()
    rows = ",\n".join("[\n" + ",\n".join(f'  "{name}"' for name in row) + "\n]" for row in names)
    text = f'[design]\nformat = "integer"\nwidth = 64\n\n[design.placement]\ngrid = [\n{rows}\n]\n'
    for name, bound in (("MAX_VALUES", MAX_VALUES), ("MAX_TOML_BYTES", MAX_TOML_BYTES), ("MAX_DEPTH", MAX_DEPTH)):
        monkeypatch.setattr(documents, name, bound // 3)
    design = Design.from_toml(text)
    assert design.placement == Design(format=None, width=64, placement={"grid": names}).placement
    monkeypatch.setattr(documents, "MAX_VALUES", 2 * 65 * 64)
    with pytest.raises(DesignError, match="of at most 8320 values and lines, but has more"):
        Design.from_toml(text)


# JSON.

RESULT = {
    "name": "table2",
    "title": "a trial",
    "source": "DA table 0",
    "rows": [{"subject": "axfpm", "quantity": "MRED", "measured": 1.0, "published": None, "interval": None}],
    "verdict": "measured",
    "reason": "because.",
    "settings": {},
    "level": "quick",
    "inputs": "abc",
}


def with_digest(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a result as it is saved."""
    return {**record, KEY: content_digest(record)}


JSON: dict[str, tuple[bytes | str, str]] = {
    "nested arrays": ("[" * 100_000, f"must be JSON of at most {MAX_LEVELS} levels, but has more; flatten it."),
    "nested objects": ('{"a":' * 100_000, f"must be JSON of at most {MAX_LEVELS} levels, but has more; flatten it."),
    "levels that the parser takes": (
        "[" * 500 + "]" * 500,
        f"must be JSON of at most {MAX_LEVELS} levels, but has more; flatten it.",
    ),
    "an integer of 5,000 digits": ("9" * 5000, "must be JSON with integers of at most 64 bits"),
    "an integer of 900 digits": ("[" + "9" * 900 + "]", "must be JSON with integers of at most 64 bits"),
    "half of a character": (r'["\ud800"]', "must hold Unicode text, but '\\ud800' has half of a character"),
    "half of a character in a key": (r'{"\udfff": 1}', "must hold Unicode text"),
    "bytes that are not UTF-8": (b'["\xff"]', "must be JSON in UTF-8"),
    "text": ("hello", "must be JSON, but: "),
    "nothing": ("", "must be JSON, but: "),
}


@pytest.mark.parametrize("content", JSON)
def test_hostile_json_is_refused_in_one_line(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = JSON[content]
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(DesignError) as caught:
        parse_json(data, "a.json")
    assert str(caught.value).startswith("a.json must ")
    assert expected in str(caught.value)
    (tmp_path / "table2.json").write_bytes(data)
    printed = refusal(capsys, lambda: _report(tmp_path))
    assert printed == (
        f"error: {tmp_path / 'table2.json'} must be a stored result of a study, but is not; delete it and run again.\n"
    )
    with pytest.raises(DataError, match="does not hold a JSON object; fetch it"):
        read_record(tmp_path / "table2.json", advice="fetch it")
    assert _record_of(tmp_path / "table2.json") == {}


def _report(results: Path) -> int:
    return studies_main(["report", "--results", str(results), "--store", f"{results}/store/results"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "table3"}, "must hold the result of the study that it is named after, but holds that of 'table3'"),
        ({"name": "../../x"}, "must hold the result of the study that it is named after, but holds that of '../../x'"),
        ({"name": ["table2"]}, "must be a stored result of a study, but is not"),
        ({"level": "../.."}, "must be a stored result of a study, but is not"),
        ({"level": "/etc"}, "must be a stored result of a study, but is not"),
        ({"title": 3}, "must be a stored result of a study, but is not"),
        ({"settings": 3}, "must be a stored result of a study, but is not"),
        ({"rows": [{**RESULT["rows"][0], "measured": "1"}]}, "must be a stored result"),  # type: ignore[dict-item,index]
        ({"rows": [{**RESULT["rows"][0], "interval": [1]}]}, "must be a stored result"),  # type: ignore[dict-item,index]
        ({"rows": [{**RESULT["rows"][0], "more": 1}]}, "must be a stored result"),  # type: ignore[dict-item,index]
    ],
)
def test_a_report_takes_only_the_study_that_a_file_is_named_after(
    change: dict[str, object], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table2.json").write_text(json.dumps(with_digest({**RESULT, **change})))
    printed = refusal(capsys, lambda: _report(tmp_path))
    assert f"{tmp_path / 'table2.json'} {expected}" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostilenet.py", "table2.json"]


def test_a_report_commits_a_result_to_the_place_of_its_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "throughput.json").write_text(json.dumps(with_digest({**RESULT, "name": "throughput"})))
    assert _report(tmp_path) == 0
    committed = tmp_path / "store" / "results" / "quick" / "throughput.json"
    assert json.loads(committed.read_text()) == with_digest({**RESULT, "name": "throughput"})
    full = tmp_path / "store" / "results" / "full" / "throughput.json"
    full.parent.mkdir()
    committed.rename(full)
    capsys.readouterr()
    printed = refusal(capsys, lambda: studies_main(["report", "--store", f"{tmp_path}/store/results"]))
    assert f"{full} must hold a result at level full, but holds one at level quick; move or delete it." in printed


def test_control_characters_of_a_stored_result_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, measured in (("old", 1.0), ("new", 2.0)):
        (tmp_path / folder / "quick").mkdir(parents=True)
        row = {**RESULT["rows"][0], "measured": measured, "subject": "a\x1b[31m\u202e"}  # type: ignore[dict-item,index]
        text = json.dumps(with_digest({**RESULT, "name": "table3", "rows": [row]}))
        for place in (tmp_path / folder, tmp_path / folder / "quick"):
            (place / "table3.json").write_text(text)
    options = ["--results", f"{tmp_path}/new", "--store", f"{tmp_path}/old"]
    assert studies_main(["check", "table3", *options]) == 1
    assert "table3: a\\x1b[31m\\u202e, MRED must be from" in capsys.readouterr().out


# Archives and arrays.


def _npy(shape: str, data: bytes = b"", *, kind: str = "<f8") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + data


def _archive(members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _with_directory_size(data: bytes, size: int) -> bytes:
    """The archive with an end record that gives its directory `size` bytes."""
    at = data.rindex(b"PK\x05\x06") + 12
    return data[:at] + struct.pack("<L", size) + data[at + 4 :]


def _with_unpacked_size(data: bytes, size: int) -> bytes:
    """The archive with a directory that says that the first member unpacks to `size` bytes."""
    at = data.index(b"PK\x01\x02") + 24
    return data[:at] + struct.pack("<L", size) + data[at + 4 :]


ONE = _npy("(1,)", bytes(8))
PAIR = _archive({"x.npy": ONE, "w.npy": ONE})
ZEROS = bytes(80 << 20)
OPERANDS: dict[str, tuple[bytes, str]] = {
    "a header that declares terabytes": (
        _archive({"x.npy": _npy("(1000000000000,)"), "w.npy": ONE}),
        "must hold the 1000000000000 values that its header declares, but has ",
    ),
    "negative sizes": (_archive({"x.npy": _npy("(-5, -5)"), "w.npy": ONE}), ""),
    "a header of parentheses": (_archive({"x.npy": _npy("(" * 5000), "w.npy": ONE}), ""),
    "a header of minus signs": (_archive({"x.npy": _npy("(" + "-" * 9000 + "1,)"), "w.npy": ONE}), ""),
    "a header with a long integer": (_archive({"x.npy": _npy(f"({'9' * 5000},)"), "w.npy": ONE}), ""),
    "a header that is no UTF-8": (_archive({"x.npy": ONE.replace(b"shape", b"sh\xffpe"), "w.npy": ONE}), ""),
    "a text array": (_archive({"x.npy": _npy("(1,)", bytes(8), kind="<U2"), "w.npy": ONE}), "must hold numbers"),
    "pickled objects": (_archive({"x.npy": _npy("(1,)", bytes(8), kind="|O"), "w.npy": ONE}), "must hold arrays of"),
    "zeros packed a thousand to one": (
        _archive({"x.npy": _npy(f"({len(ZEROS) // 8},)", ZEROS), "w.npy": ONE}, compression=zipfile.ZIP_DEFLATED),
        "must unpack to at most 100 times its size, but has ",
    ),
    "a member said to have 4 GB": (_with_unpacked_size(PAIR, 2**32 - 2), "must unpack to at most 100 times its size"),
    "a directory said to have 4 GB": (
        _with_directory_size(PAIR, 2**32 - 2),
        f"must have at most {MAX_DIRECTORY_BYTES} bytes, but has 4294967294; make an archive of fewer members.",
    ),
    "no archive": (b"PK\x03\x04", "must be a .npz file, but: "),
    "nothing": (b"", "must be a .npz file, but: "),
    "half": (PAIR[: len(PAIR) // 2], "must be a .npz file, but: "),
}


@pytest.mark.parametrize("content", OPERANDS)
def test_hostile_operands_are_refused_in_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, expected = OPERANDS[content]
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    printed = refusal(capsys, lambda: COMMANDS["operands"][1](path))
    assert str(path) in printed
    assert expected in printed


def test_operands_of_any_format_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.linspace(0, 1, 200, dtype=np.float32)
    np.savez_compressed(tmp_path / "a.npz", x=x, w=x, more=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        for name in ("x", "w"):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, x.reshape(2, 100).T, version=(2, 0))
            archive.writestr(f"{name}.npy", stream.getvalue())
    printed = []
    for name in ("a.npz", "b.npz"):
        assert circuits_main(["metrics", "axfpm", "--operands", f"{tmp_path}/{name}", "--format", "json"]) == 0
        printed.append(json.loads(capsys.readouterr().out)["designs"][0]["errors"]["mred"])
    assert printed[0] == pytest.approx(printed[1])


def _weights() -> bytes:
    stream = io.BytesIO()
    torch.save({"0.weight": torch.zeros(1, 1, 3, 3), "0.bias": torch.zeros(1)}, stream)
    return stream.getvalue()


def _repacked(compression: int, more: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(_weights())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return _archive({**members, **more}, compression=compression)


WEIGHTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "zeros packed a thousand to one": (
        lambda: _repacked(zipfile.ZIP_DEFLATED, {"archive/data/9": ZEROS}),
        "must hold its tensors uncompressed, as torch.save writes them, but has ",
    ),
    "a member said to have 4 GB": (lambda: _with_unpacked_size(_weights(), 2**32 - 2), "uncompressed"),
    "a directory said to have 4 GB": (
        # torch writes ZIP64 records, which count in place of the end record.
        lambda: _with_directory_size(_repacked(zipfile.ZIP_STORED, {}), 2**32 - 2),
        f"must have at most {MAX_DIRECTORY_BYTES} bytes, but has 4294967294",
    ),
    "no archive": (lambda: b"PK\x03\x04", "must hold weights only"),
    "nothing": (lambda: b"", "must hold weights only"),
    "half": (lambda: _weights()[:500], "must hold weights only"),
    "a deep pickle": (lambda: b"\x80\x02" + b"(" * 100_000 + b".", "must hold weights only"),
}


@pytest.mark.parametrize("content", WEIGHTS)
def test_hostile_weights_are_refused_in_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = WEIGHTS[content]
    path = tmp_path / "a.pt"
    path.write_bytes(make())
    printed = refusal(capsys, lambda: COMMANDS["weights .pt"][1](path))
    assert str(path) in printed
    assert expected in printed


SAFETENSORS = {
    "a header said to have 8 EB": struct.pack("<Q", 2**63) + b"{}",
    "a header of 90 MB": struct.pack("<Q", 90_000_000) + b"{}",
    "nested": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "sizes beyond the file": struct.pack("<Q", 71)
    + b'{"a":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,4000000000000]}}'[:71],
    "nothing": b"",
    "text": b"no tensors, but text",
}


@pytest.mark.parametrize("content", SAFETENSORS)
@pytest.mark.parametrize("reader", ["weights .safetensors", "images"])
def test_hostile_safetensors_are_refused_in_one_line(
    reader: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(SAFETENSORS[content])
    printed = refusal(capsys, lambda: COMMANDS[reader][1](path))
    assert f"{path} must be a safetensors file, but is not" in printed


# SPICE.

CELL = """.SUBCKT mine a b cin sum carry vdd vss
M1 sum a vss vss NMOS_VTG {w} l=50n
M2 sum a vdd vdd PMOS_VTG w=0.27u l=50n
C1 carry vss {c}
.ENDS
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"w": "W=1e30990n"}, "line 2 must give w as a number, but got '1e30990n'; correct it."),
        ({"w": f"W={'9' * 5000}"}, "line 2 must give w as a number, but got '999"),
        ({"w": "W=1.2.3u"}, "line 2 must give w as a number, but got '1.2.3u'"),
        ({"w": "W=1e-30990n"}, "line 2 must have a width w, times m, of at most 1e+06 nm, but has 0 nm"),
        ({"w": "W=1meg"}, "line 2 must have a width w, times m, of at most 1e+06 nm, but has 1e+15 nm"),
        ({"w": "W=1u m=1e999"}, "line 2 must give m as a number, but got '1e999'"),
        ({"w": "W=1u ad=1e999"}, "line 2 must give ad as a number, but got '1e999'"),
        ({"c": "1e999"}, "line 4 must give a resistance or capacitance as a number, but got '1e999'"),
        ({"w": "W=1u\n" + "+\n" * 100_000 + "+ x"}, "must be M "),
        ({"w": "W=1u" + " " * 200_000 + "x"}, "must be M "),
        ({"w": "W=" + "1" * 200_000}, "must give w as a number"),
    ],
)
def test_hostile_spice_is_refused_in_one_line(change: dict[str, str], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.sp"
    path.write_text(CELL.format(**{"w": "W=1u", "c": "0.1f", **change}))
    assert path.stat().st_size <= MAXIMUM_BYTES
    with pytest.raises(DesignError) as caught:
        read_subcircuit(path)
    assert str(caught.value).startswith(f"{path} line ")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_multiplied_width_takes_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "mine.sp"
    path.write_text(CELL.format(w="W=0.5u m=2", c="0.1f"))
    assert read_subcircuit(path).widths[0] == pytest.approx((1000,))


# What the program wrote itself.


def test_a_checkpoint_that_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["lenet5", "--epochs", "1", "--out", str(tmp_path), "--data", "embedded"]
    names = [path.name for path in tmp_path.iterdir()]
    checkpoint = tmp_path / "lenet5.checkpoint.safetensors"
    os.mkfifo(checkpoint)
    assert cnn_main(["train", *options]) == 2
    printed = capsys.readouterr().err.splitlines()[-1]  # below the progress bar
    assert printed == f"error: {checkpoint} must be a readable file, but is a FIFO; delete it or train with --fresh."
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, checkpoint.name])


def test_cached_object_code_that_is_no_file_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    key = hashlib.sha256(b"").hexdigest()
    os.mkfifo(tmp_path / f"{key}.o")
    assert jit._read_cached(key) is None
    jit._write_cached(key, b"code")
    assert jit._read_cached(key) == b"code"


# What is typed.

LONGEST = "9" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["multiply", "SMALL", LONGEST, "2"],
        ["multiply", "SMALL", "0x" + "f" * 5000, "2"],
        ["multiply", "SMALL", "-0b" + "1" * 20_000, "2"],
        ["metrics", "axfpm", "--samples", LONGEST],
        ["metrics", "axfpm", "--seed", LONGEST],
        ["show", LONGEST],
        ["show", "\x1b[31m"],
        ["show", "\x1b[31m.toml"],
        ["show", "exact", "--format", "\u202e"],
        ["metrics", "axfpm", "--surface", "²"],
        ["nosuch\x1b[31m"],
    ],
)
def test_hostile_arguments_are_refused_in_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.toml"
    path.write_text('[design]\nformat = "integer"\nwidth = 4\n')
    printed = refusal(capsys, lambda: circuits_main([str(path) if word == "SMALL" else word for word in arguments]))
    assert printed.rstrip("\n").isprintable()
    assert "set_int_max_str_digits" not in printed


def test_the_same_weights_and_images_without_what_is_hostile_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The counterpart of the refusals above."""
    (tmp_path / "a.pt").write_bytes(_repacked(zipfile.ZIP_STORED, {}))
    save_file(
        {"images": torch.rand(2, 1, 4, 4), "labels": torch.zeros(2, dtype=torch.int64)}, tmp_path / "i.safetensors"
    )
    assert _user(["--weights", f"{tmp_path}/a.pt", "--data", f"{tmp_path}/i.safetensors", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]
