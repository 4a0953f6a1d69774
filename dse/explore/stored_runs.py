"""Runs read back from a store: their results, without measuring anything, and their scores as a table for pandas.

A store may come from anywhere, so whatever is read of a run's configuration must have the type that it is used as.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from circuits.designs.design_record import Design
from circuits.designs.named_designs import NAMED
from circuits.errors import DesignError
from dse.explore.convergence import convergence
from dse.explore.search_options import SEARCH_VERSION, UNCHANGED_SINCE, Question
from dse.explore.search_result import (
    RuledOut,
    SearchResult,
    is_beaten,
    left_out,
    pareto_front,
    reference_row,
    sorted_out,
)
from dse.score.constraints import Constraint, broken
from dse.score.scored_design import ScoredDesign
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import Scorer, Scores, ScoreSettings
from dse.score.store import Member, RunRecord, Store
from dse.score.store_file import STORE_NAME, StoreError, may_be_written
from dse.space.per_layer import Candidate

if TYPE_CHECKING:
    import pandas

__all__ = ["check_configuration", "every_design", "load_run", "open_store", "require_result", "stored_result"]

_CONFIGURATION: Mapping[str, type] = MappingProxyType(
    {
        "search": int,
        "space": dict,
        "space_text": str,
        "objectives": list,
        "constraints": list,
        "population": int,
        "budget": int,
        "seed": int,
        "method": str,
        "asynchronous": bool,
        "settings": dict,
        "references": list,
        "scorers": dict,
    }
)
"""The types in a run's configuration, `SearchOptions.to_data`."""


def open_store(path: Path | str) -> Store:
    """The store at `path`, or in the folder `path`, to be read; DesignError where there is none.

    Reading creates no store, and needs no right to write.
    """
    path = Path(path)
    file = path / STORE_NAME if path.is_dir() else path
    if not file.exists():
        raise DesignError(f"there is no store at {str(file)!r}; give --store, or run a search first.")
    return Store(file, read_only=not may_be_written(file))


def require_result(store: Store, name: str) -> SearchResult:
    """The finished run of that name (the beginning of its identifier, or "last"); DesignError if it is not finished."""
    records = store.runs()
    finished = [record for record in records if record.finished is not None]
    if name == "last":
        if not finished:
            raise DesignError(f"there is no finished run in {store.path}; run a search to its end first.")
        record = max(finished, key=lambda candidate: (candidate.finished or "", candidate.run))
    else:
        record = store.run(name)
    result = stored_result(store, record)
    if result is None:
        # Runs of earlier versions recorded --fresh, which would start over.
        command = str(record.provenance.get("command", "")).replace(" --fresh", "")
        again = f"continue it with `{command}`" if command else "run its search again"
        raise DesignError(f"run {record.run[:10]} is not finished; {again}.")
    return result


def load_run(store: Store | Path | str, run: str = "last") -> pandas.DataFrame:
    """The designs of a finished run with their scores, one row each; needs pandas.

    `store`: an open store, its file, or the folder of a search. `run`: the beginning of the run's identifier, or
    "last".

    Index "digest" (of the behaviour). Columns: "name", "front" (bool), "reference" (bool), "skipped" (why the design is
    ruled out or was not measured in full, or empty), "cost_digest", then each score by name, NaN where it was not
    measured; details such as "nmed_low" follow their column. `attrs`: "run", "units" (of each column), "labels",
    "scopes" (of what a number is where it is not that of one multiplier), "objectives", "constraints", "configuration",
    "convergence" (evaluations and hypervolume, see `dse.explore.convergence`).

    Raises DesignError where there is no such store or run, StoreError where the store cannot be trusted.
    """
    import pandas

    if isinstance(store, Store):
        result = require_result(store, run)
    else:
        with open_store(store) as opened:
            result = require_result(opened, run)
    front = {row.design.cost_digest for row in result.front}
    reasons = result.reasons
    rows = [*((row, False) for row in every_design(result)), *((row, True) for row in result.references)]
    table = pandas.DataFrame(
        [
            {
                "digest": row.design.digest,
                "name": row.name,
                "front": row.design.cost_digest in front and not reference,
                "reference": reference,
                "skipped": "" if reference else reasons.get(row.design.cost_digest, ""),
                "cost_digest": row.design.cost_digest,
                **{name: row.scores[name] for name in _in_order(row.scores, result)},
            }
            for row, reference in rows
        ]
    ).set_index("digest")
    names = [name for name in table.columns if name in result.columns]
    table.attrs = {
        "run": result.record.run,
        "units": {name: result.columns[name].unit for name in names},
        "labels": {name: result.columns[name].label for name in names},
        "scopes": {name: result.columns[name].scope for name in names if result.columns[name].scope},
        "objectives": [column.name for column in result.objectives],
        "constraints": [str(limit) for limit in result.question.constraints],
        "configuration": result.record.configuration,
        "convergence": convergence(result),
    }
    return table


def _in_order(scores: Scores, result: SearchResult) -> list[str]:
    """The names of the scores, columns in the order of tables, each followed by its details."""
    return sorted(scores, key=lambda name: [*_owner(name, result), name])


def _owner(name: str, result: SearchResult) -> tuple[int, str]:
    """(position, name) of the column that `name` is or is a detail of; last, where it is neither."""
    owners = [column for column in result.columns if name == column or name.startswith(f"{column}_")]
    owner = max(owners, key=len, default="")
    return (list(result.columns).index(owner) if owner else len(result.columns)), owner


def every_design(result: SearchResult) -> list[ScoredDesign]:
    """The front with all its scores, then all other designs, ruled out or beaten ones included, with what they have."""
    rows = {row.design.cost_digest: row for row in result.front}
    for row in [*result.rows, *(entry.row for entry in (*result.ruled_out, *result.beaten))]:
        rows.setdefault(row.design.cost_digest, row)
    return list(rows.values())


def stored_result(store: Store, record: RunRecord) -> SearchResult | None:
    """The result of a finished run from the store alone; None when it is not finished or scores are missing.

    Raises StoreError where the run was made by other scorers than those of this program, or is not a search.
    """
    check_configuration(store, record)
    configuration = record.configuration
    _check_versions(store, record)
    members = store.members(record.run)
    if members is None:
        return None
    question = Question.of(configuration)
    stored = _StoredScores(store, configuration)
    scored, beaten_rows = [], []
    for member in members:
        if member.role == "space":
            # What another run measured of a beaten design since then is no part of this run.
            omitted = left_out(member.skipped) if is_beaten(member.skipped) else []
            end = next((place for place, entry in enumerate(question.scorers) if entry.name in omitted), None)
            scorers = question.scorers[:end]
            scores = stored.of(member.design, scorers, question.constraints)
            if scores is None:
                return None
            row = ScoredDesign(member.design, scores)
            scored.append(row)
            if omitted:
                beaten_rows.append(RuledOut(row, member.skipped))
    rows, ruled_out = sorted_out(scored, question)
    front, references = [], []
    for row in pareto_front(rows, question):
        scores = stored.of(row.design, question.available)
        if scores is None:
            return None
        front.append(ScoredDesign(row.design, scores))
    layers = len(configuration["space"].get("layers", ()))
    for entry in _references(configuration, members):
        scores = None if entry is None else stored.of(entry, question.available)
        if entry is None or scores is None:
            return None
        references.append(reference_row(entry, scores, layers, question.columns))
    order = tuple(row.design.cost_digest for row in scored)
    return SearchResult(record, rows, tuple(front), tuple(references), ruled_out, tuple(beaten_rows), (), 0, order)


def _references(configuration: Mapping[str, Any], members: Sequence[Member]) -> list[Candidate | None]:
    """The designs that the run marks, by their names; None for one that the store does not hold."""
    stored = {member.design.cost_digest: member.design for member in members if member.role == "reference"}
    designs: list[Candidate | None] = []
    for name, digest in configuration["references"]:
        # By name where that is known: a stored design has its own name, but not its standing among the named ones.
        named, own = NAMED.get(name), stored.get(digest)
        if named is not None and named.cost_digest == digest:
            designs.append(named)
        else:
            designs.append(replace(own, name=name) if isinstance(own, Design) else own)
    return designs


class _StoredScores:
    """The scores in a store, found by the versions and settings of the scorers in a run's configuration."""

    def __init__(self, store: Store, configuration: Mapping[str, Any]) -> None:
        self._store = store
        self._keys = {name: (version, digest) for name, (version, digest) in configuration["scorers"].items()}

    def of(
        self, candidate: Candidate, scorers: Sequence[Scorer], limits: Sequence[Constraint] = ()
    ) -> dict[str, float] | None:
        """The scores of these scorers up to where they break `limits`; None where one is missing."""
        known: dict[str, float] = {}
        for scorer in scorers:
            if broken(limits, known):
                break
            version, settings_hash = self._keys[scorer.name]
            scores = self._store.find(getattr(candidate, scorer.key), scorer.name, version, settings_hash)
            if scores is None:
                return None
            if not {column.name for column in scorer.columns} <= scores.keys():
                raise StoreError(
                    f"the {scorer.name} scores of {candidate.label} in {self._store.path} are incomplete "
                    f"({', '.join(sorted(scores)) or 'none'}); give another store."
                )
            known |= scores
        return known


def check_configuration(store: Store, record: RunRecord) -> None:
    """StoreError unless the configuration of a run has the form that `SearchOptions.to_data` writes."""
    if not _is_search(record.configuration) or not isinstance(record.provenance, dict):
        raise StoreError(
            f"run {record.run[:10]} of {store.path} is not a search of this version of the program: its configuration "
            "has another form; give another store."
        )


def _check_versions(store: Store, record: RunRecord) -> None:
    """StoreError unless the run was made by this search and by the built-in scorers as they are.

    Scorers from outside are known by what the run recorded of them; nothing is imported to read it.
    """
    configuration = record.configuration
    outside = configuration.get("outside_scorers", {})
    made = {name: version for name, (version, _) in configuration["scorers"].items() if name not in outside}
    ours = {name: scorer.version for name, scorer in SCORERS.items()}
    # Scorers added to the program since then do not belong to the run.
    known = {name: ours[name] for name in made if name in ours}
    if configuration["search"] not in (UNCHANGED_SINCE, SEARCH_VERSION) or made != known:
        raise StoreError(
            f"run {record.run[:10]} of {store.path} was made by another version of the program, with scorers "
            f"{_listed(made)} where this one has {_listed(ours)}; run its search again."
        )


def _is_search(configuration: Any) -> bool:
    try:
        return (
            all(isinstance(configuration[key], kind) for key, kind in _CONFIGURATION.items())
            and isinstance(configuration["space"]["name"], str)
            and isinstance(configuration.get("network_text", ""), str)
            and all(isinstance(text, str) for key in ("objectives", "constraints") for text in configuration[key])
            and all(isinstance(name, str) for name, _ in configuration["references"])
            and all(isinstance(version, int) for version, _ in configuration["scorers"].values())
            and all(isinstance(settings, str) for _, settings in configuration["scorers"].values())
            and all(
                isinstance(configuration["settings"][name], (int, float) if isinstance(value, float) else type(value))
                for name, value in ScoreSettings().to_data().items()
                if not isinstance(value, tuple)
            )
            and _has_outside_scorers_of_this_form(configuration)
        )
    except (KeyError, TypeError, ValueError):
        return False


def _has_outside_scorers_of_this_form(configuration: Any) -> bool:
    """Whether scorers from outside, if there are any, are described so that they can be shown; else ValueError."""
    outside = configuration.get("outside_scorers", {})
    if not isinstance(outside, dict) or not outside.keys() <= configuration["scorers"].keys():
        return False
    if outside:
        Question.of(configuration)
    return True


def _listed(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
