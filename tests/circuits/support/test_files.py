"""Files are written whole or not at all, by any number of writers, and through no link."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from circuits.support.cli import guarded
from circuits.support.files import write_atomically

SIZE = 1 << 16


def _write_often(path: Path, byte: int) -> None:
    for _ in range(50):
        write_atomically(path, bytes([byte]) * SIZE)


@pytest.mark.slow
def test_a_file_is_whole_while_threads_and_processes_write_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    _write_often(path, 0)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_often, args=(path, k)) for k in (1, 2)]
    threads = [threading.Thread(target=_write_often, args=(path, k)) for k in (3, 4, 5, 6)]
    for worker in (*processes, *threads):
        worker.start()
    while any(worker.is_alive() for worker in (*processes, *threads)):
        content = path.read_bytes()
        assert len(content) == SIZE
        assert len(set(content)) == 1
    for worker in (*processes, *threads):
        worker.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [*tmp_path.iterdir()] == [path]


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    target, link, dangling = tmp_path / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_bytes(b"kept")
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (link, dangling):
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new"
        assert not path.is_symlink()
    assert target.read_bytes() == b"kept"
    assert not (tmp_path / "nowhere").exists()


def test_the_temporary_name_cannot_be_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = os.open

    def watch(path: str | Path, flags: int, mode: int = 0o777) -> int:
        assert flags & os.O_EXCL  # a link of that name would not be followed
        opened.append(Path(path).name)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", watch)
    for _ in range(20):
        write_atomically(tmp_path / "a", b"")
    assert len(set(opened)) == 20
    assert not any(str(os.getpid()) == name.split(".")[1] for name in opened)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_failure_keeps_the_old_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(source))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none" / "a"

    def write() -> int:
        write_atomically(path, b"")
        return 0

    assert guarded(write) == 2
    assert capsys.readouterr().err == f"error: [Errno 2] No such file or directory: '{path}'\n"


@pytest.mark.parametrize(("name", "kind"), [("fifo", "a FIFO"), ("folder", "a folder"), ("device", "a device")])
def test_only_regular_files_are_replaced(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "fifo":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(ValueError, match=f"the output must be a regular file, but {path} is {kind}; choose another"):
        write_atomically(path, b"")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout"])
def test_devices_are_not_replaced(path: str) -> None:
    with pytest.raises(ValueError, match=f"the output must be a regular file, but {path} is a"):
        write_atomically(Path(path), b"")
    assert Path(path).exists()
