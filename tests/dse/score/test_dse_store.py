"""The store of scores: round trips, keys, runs, versions, damage, several processes at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from circuits import CELLS, Design, DesignError, design
from dse import Column, Scorer, ScoreSettings, Store
from dse.results import main
from dse.score.store import Member
from dse.score.store_file import StoreError, move_aside

SETTINGS = ScoreSettings()


def scorer(*, version: int = 1, key: str = "digest", depends: object = 0) -> Scorer:
    column = Column(name="score", unit="1", label="score", format=".3f")
    return Scorer(
        name="fake",
        version=version,
        cost="cheap",
        key=key,  # type: ignore[arg-type]
        columns=(column,),
        settings=lambda settings: {"depends": depends},
        measure=lambda design, settings: {"score": 1.0},
    )


FAKE = scorer()


def get(store: Store, subject: Design, by: Scorer = FAKE) -> object:
    return store.get(getattr(subject, by.key), by, by.settings_hash(SETTINGS))


def put(store: Store, subject: Design, value: float, by: Scorer = FAKE) -> None:
    store.put(subject, {by.name: {"score": value, "detail": float("nan")}}, [by], SETTINGS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with some scores and a finished run, larger than a page."""
    where = tmp_path / "store.sqlite"
    with Store(where) as store:
        subjects = [Design(placement=f"ama{n}", ports=ports) for n in range(1, 6) for ports in ("psc", "scp", "csp")]
        for number, subject in enumerate(subjects):
            put(store, subject, number / 7)
        run = store.begin({"seed": 1})
        store.finish(run, [Member(subject, "space") for subject in subjects], "2026-01-01")
    return where


def test_scores_come_back_exactly_after_closing(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        assert get(store, design("axfpm")) is None
        put(store, design("axfpm"), 0.1 + 0.2)
    with Store(tmp_path / "store.sqlite") as store:
        found = get(store, design("axfpm"))
        assert isinstance(found, dict)
        assert found["score"] == 0.1 + 0.2
        assert found["detail"] != found["detail"]
        assert get(store, design("heap")) is None


def test_a_score_is_kept_once_and_the_first_stays(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        put(store, design("axfpm"), 1.0)
        put(store, design("axfpm"), 2.0)
        assert get(store, design("axfpm"))["score"] == 1.0  # type: ignore[index]
        assert store.count() == 1


def test_another_scorer_version_or_setting_is_another_score(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        put(store, design("axfpm"), 1.0)
        assert get(store, design("axfpm"), scorer(version=2)) is None
        assert get(store, design("axfpm"), scorer(depends=1)) is None


def test_the_scorer_declares_which_digest_keys_a_score(tmp_path: Path) -> None:
    # InXA3 equals AMA2 logically (FACTS 1) and has another number of transistors.
    one, other = Design(placement=CELLS["ama2"]), Design(placement=CELLS["inxa3"])
    with Store(tmp_path / "store.sqlite") as store:
        for by, shared in ((FAKE, True), (scorer(key="cost_digest", depends="cost"), False)):
            put(store, one, 1.0, by)
            assert (get(store, other, by) is not None) == shared


def test_a_finished_run_lists_its_designs_in_order(tmp_path: Path) -> None:
    members = [
        Member(design("heap"), "space", "energy<=1 (it has 2)"),
        Member(design("exact"), "reference"),
        Member(design("axfpm"), "space"),
    ]
    with Store(tmp_path / "store.sqlite") as store:
        run = store.begin({"seed": 1})
        assert run == store.begin({"seed": 1}) != store.begin({"seed": 2})
        for member in members:
            put(store, member.design, 1.0)
        assert store.members(run) is None
        store.finish(run, members, "2026-01-01")
        assert store.members(run) == members
        assert [record.configuration["seed"] for record in store.runs()] in ([1, 2], [2, 1])
        found = store.run(run[:12])
        assert (found.run, found.finished) == (run, "2026-01-01")


def test_where_and_when_a_run_began_is_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        run = store.begin({"seed": 1}, when="2026-01-01", provenance={"command": "first"})
        store.begin({"seed": 1}, when="2026-02-02", provenance={"command": "again"})
        assert (store.run(run).started, store.run(run).provenance) == ("2026-01-01", {"command": "first"})


@pytest.mark.parametrize("name", ["", "nix"])
def test_an_unknown_run_is_refused_with_the_names_of_those_there(path: Path, name: str) -> None:
    with Store(path) as store:
        (record,) = store.runs()
        with pytest.raises(DesignError) as caught:
            store.run(name)
        assert str(caught.value) == (
            f"no run in {path} begins with {name!r} (runs: {record.run[:10]}); see `python -m dse.results list`."
        )


def test_an_ambiguous_run_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        runs = [store.begin({"seed": seed}) for seed in range(20)]
        first = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
        with pytest.raises(DesignError, match=rf"^\d+ runs in .* begin with '{first}' \(.*\); give more of the identi"):
            store.run(first)


def set_pragma(name: str, value: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA {name} = {value}")

    return change


def statement(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(text)

    return change


def test_another_schema_version_is_refused(path: Path) -> None:
    set_pragma("user_version", 7)(path)
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert str(caught.value) == (
        f"the store {path} has schema version 7, but this version of the program reads 2; give "
        "another --out, or --fresh to start over (the old file is kept as store.sqlite.old)."
    )


def test_a_foreign_database_is_refused(path: Path) -> None:
    set_pragma("application_id", 1)(path)
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert str(caught.value) == (
        f"{path} is not a store of this program (its application_id is 0x1); give another --out."
    )


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_store_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError) as caught:
        Store(path)
    message = str(caught.value)
    assert message.startswith(f"the store {path} is truncated or damaged (")
    assert message.endswith(
        "); restore it from a copy, or give --fresh to start over (the damaged file is kept as store.sqlite.old)."
    )


def test_text_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_text("hello")
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert "(it has 5 bytes and no SQLite header)" in str(caught.value)
    assert path.read_text() == "hello"


def test_altered_scores_are_refused(path: Path) -> None:
    statement("UPDATE scores SET scores = replace(scores, '0.1', '0.2')")(path)
    with Store(path) as store:
        subject = Design(placement="ama1", ports="scp")  # 1 / 7
        with pytest.raises(StoreError) as caught:
            get(store, subject)
        assert f"(the fake scores of {subject.digest[:10]} have a wrong checksum)" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE designs SET toml = replace(toml, 'psc', 'pcs')", "the design "),
        ("DELETE FROM run_designs WHERE position = 3", "the designs of run "),
        ("UPDATE run_designs SET skipped = 'delay<=1' WHERE position = 2", "the designs of run "),
    ],
)
def test_altered_runs_are_refused(path: Path, change: str, what: str) -> None:
    statement(change)(path)
    with Store(path) as store, pytest.raises(StoreError) as caught:
        store.members(store.begin({"seed": 1}))
    assert f"({what}" in str(caught.value)
    assert "have a wrong checksum" in str(caught.value) or "has a wrong checksum" in str(caught.value)


def test_moving_aside_keeps_the_old_store(path: Path) -> None:
    content = path.read_bytes()
    move_aside(path)
    with Store(path) as store:
        assert store.count() == 0
    assert path.with_name("store.sqlite.old").read_bytes() == content


def _write(path: Path, first: int) -> None:
    names = [f"ama{n}" for n in range(1, 6)]
    for number in range(first, 60, 2):
        # Opening the store anew each time makes creation and log recovery race, too.
        with Store(path) as store:
            for ports in ("psc", "scp"):
                cells = [names[(number // 5 ** (column % 3)) % 5] for column in range(48)]
                put(store, Design(placement={"columns": cells}, ports=ports), float(number))


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, first)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Store(path) as store:
        assert store.count() == 120
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["store.sqlite"]


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE runs; CREATE VIEW runs AS WITH RECURSIVE n(run) AS (SELECT 1 UNION ALL SELECT run + 1 FROM n) "
        "SELECT run, run AS configuration, run AS started, run AS provenance, run AS finished, run AS checksum FROM n",
        "CREATE TRIGGER more AFTER INSERT ON designs BEGIN DELETE FROM designs; END",
    ],
)
def test_a_store_holds_tables_only(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
    with pytest.raises(StoreError, match=r"is truncated or damaged .it has a (view 'runs'|trigger 'more'), which no"):
        Store(path)


@pytest.mark.parametrize(
    "configuration",
    [
        "{}",
        "[]",
        "3",
        '{"space": 3}',
        "[" * 500 + "]" * 500,
        '{"seed": ' + "9" * 5000 + "}",
        r'{"space": "\ud800"}',
        "no JSON",
    ],
)
def test_runs_of_another_form_are_refused(path: Path, configuration: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = hashlib.sha256(configuration.encode()).hexdigest()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM runs")
        connection.execute("INSERT INTO runs VALUES (?, ?, '2026', '{}', '2026', '')", (run, configuration))
    for command in (["list"], ["show", "last"], ["export", run]):
        assert main([*command, "--store", str(path)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"error: run {run[:10]} ")
        assert str(path) in captured.err
        assert captured.err.count("\n") == 1
