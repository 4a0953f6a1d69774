"""One exploration of a space: which designs are scored, which of them form the front, and how a run is continued.

Genomes follow from the seed and from scores alone, and scores are taken from the store where they are there: the same
options end with the same front, however often the run was killed and whatever scores the designs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from circuits.designs.named_designs import design
from circuits.errors import DesignError, unknown_name
from circuits.support.numbers import number
from dse.explore.front import Judgement, non_dominated
from dse.explore.search_progress import Reporter
from dse.present.score_table import Row
from dse.score.constraints import Constraint, broken, constraints, violations
from dse.score.evaluation import Evaluator, Failure, Measured, Task, measure
from dse.score.executor import Executor, Processes
from dse.score.scorers import COLUMNS, SCORERS, Column, Scorer, Scores, Settings, columns_for, objectives, scorers_of
from dse.score.store import Member, RunRecord, Store, StoreError
from dse.space.per_layer import Subject, in_each_layer
from dse.space.search_space import SPACES, Genome, Space

__all__ = ["METHODS", "REFERENCES", "Question", "RuledOut", "SearchOptions", "SearchResult", "search", "stored_result"]

REFERENCES = ("exact", "heap", "axfpm", "axfpm_tiled", "bfloat16")
"""The named designs that every search scores and marks."""
SEARCH_VERSION = 2
"""Raised whenever the same options would evaluate other designs."""
METHODS = ("auto", "exhaustive", "nsga2", "random")
"""How designs are chosen; "auto": exhaustive where the space has no more genomes than the budget, else nsga2."""
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
_DRAWS = 100
"""Genomes drawn at random for each design of the budget before a space counts as used up."""


@dataclass(frozen=True)
class Question:
    """What designs are judged by."""

    objectives: tuple[Column, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Question:
        """From what `SearchOptions.to_data` wrote."""
        return cls(objectives(configuration["objectives"]), constraints(configuration["constraints"]))

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """What every design of the space is measured with, in order, unless it is ruled out before.

        Circuit scores go into every row; the network's cost more and wait, unless an objective or constraint asks.
        """
        needed = scorers_of([*self.objectives, *(limit.column for limit in self.constraints)])
        return tuple(scorer for scorer in SCORERS.values() if scorer in needed or scorer.cost == "cheap")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """All that decides a search's result. `budget`: designs of the space to score, references not counted.

    `asynchronous`: NSGA-II breeds whenever a worker is free, so that the designs depend on how fast they are scored.
    Raises DesignError when `method` is "exhaustive" and the space has more genomes than the budget.
    """

    space: Space = SPACES["arrays"]
    objectives: tuple[Column, ...] = (COLUMNS["energy"], COLUMNS["delay"], COLUMNS["accuracy_loss"])
    constraints: tuple[Constraint, ...] = ()
    population: int = 20
    budget: int = 240
    seed: int = 0
    method: str = "auto"
    asynchronous: bool = False
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.method == "exhaustive" and self.space.size > self.budget:
            raise DesignError(
                f"the budget must cover the space for method exhaustive, but got {self.budget:,} for "
                f"{self.space.size_text} genomes; raise the budget, or choose nsga2 or random."
            )

    @property
    def chosen_method(self) -> str:
        """`method`, with what "auto" means here."""
        if self.method != "auto":
            return self.method
        return "exhaustive" if self.space.size <= self.budget else "nsga2"

    @property
    def question(self) -> Question:
        """What designs are judged by."""
        return Question(self.objectives, self.constraints)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the versions and settings of all scorers: what identifies a run in the store."""
        return {
            "search": SEARCH_VERSION,
            "space": self.space.to_data(),
            "space_text": self.space.describe(),
            "objectives": [column.name for column in self.objectives],
            "constraints": [str(limit) for limit in self.constraints],
            "population": self.population,
            "budget": self.budget,
            "seed": self.seed,
            "method": self.chosen_method,
            "asynchronous": self.asynchronous,
            "settings": asdict(self.settings),
            "references": [[name, design(name).cost_digest] for name in REFERENCES],
            "scorers": {
                name: [scorer.version, scorer.settings_hash(self.settings)] for name, scorer in SCORERS.items()
            },
        }


@dataclass(frozen=True)
class RuledOut:
    """A design that breaks constraints, with the scores it has and what was left out because of them, in one line."""

    row: Row
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `record`: what was asked, when and where.

    `rows`: every design of the space with values in all objectives, in the order of scoring; `front`: those that meet
    the constraints and that no other such design dominates, sorted by the first objective; `references`: the named
    designs, with scores as of a network that has the design in each of its layers. Front and references have all
    scores. `ruled_out`: designs that break constraints, whether scored in full or not. `failures`: designs that could
    not be scored. `computed`: designs for which something was computed now, the rest came from the store.
    """

    record: RunRecord
    rows: tuple[Row, ...]
    front: tuple[Row, ...]
    references: tuple[Row, ...]
    ruled_out: tuple[RuledOut, ...]
    failures: tuple[Failure, ...]
    computed: int

    @property
    def question(self) -> Question:
        """What the designs were judged by."""
        return Question.of(self.record.configuration)

    @property
    def layers(self) -> int:
        """Number of layers with a multiplier each; 0 where one design serves all."""
        return len(self.record.configuration["space"].get("layers", ()))

    @property
    def columns(self) -> Mapping[str, Column]:
        """Every column by name, saying of what it is in this search."""
        return columns_for(self.layers)

    @property
    def objectives(self) -> tuple[Column, ...]:
        """The objectives among `columns`."""
        return tuple(self.columns[column.name] for column in self.question.objectives)


def search(
    options: SearchOptions,
    store: Store,
    executor: Executor[Task, Measured] | None = None,
    *,
    progress: bool = False,
    provenance: Mapping[str, Any] = MappingProxyType({}),
) -> SearchResult:
    """Runs, continues or looks up a search, by an `executor` of `measure` (default: this process).

    `provenance` goes into the store.

    Exhaustive: every design of the space. Random: designs drawn from the seed, all genomes equally likely, each design
    once. NSGA-II: `dse.explore.nsga2`. Raises ValueError when a reference design cannot be scored: then nothing can.
    """
    run = store.begin(options.to_data(), when=_now(), provenance=provenance)
    with Reporter(enabled=progress) as reporter, executor or Processes(measure, 1) as workers:
        evaluator = Evaluator(store, workers, options.settings)
        finished = stored_result(store, store.run(run))
        if finished is not None:
            return finished
        workers.start()
        return _Search(options, evaluator, reporter).run(run)


class _Search:
    """One run in progress."""

    def __init__(self, options: SearchOptions, evaluator: Evaluator, reporter: Reporter) -> None:
        self.options = options
        self.evaluator = evaluator
        self.reporter = reporter
        self.scorers = options.question.scorers
        self.rows: dict[str, Row] = {}
        self.failures: list[Failure] = []
        self.decode = lru_cache(maxsize=None)(options.space.decode)

    def run(self, run: str) -> SearchResult:
        """Searches, completes the scores of front and references, records the end."""
        options, evaluator = self.options, self.evaluator
        self.reporter.stage("designs scored", min(options.budget, options.space.size) + len(REFERENCES))
        references = [design(name) for name in REFERENCES]
        # Their networks come last, with those of the front: bfloat16's is slow.
        cheap = [scorer for scorer in SCORERS.values() if scorer.cost == "cheap"]
        for found in evaluator.score(references, cheap, self.reporter.advance):
            if isinstance(found, Failure):
                raise ValueError(f"{found.design.label} must be scored, but: {found.reason}")
        self._explore()
        self.reporter.end(len(self.rows) + len(self.failures) + len(REFERENCES))
        rows, ruled_out = _sorted_out(self.rows.values(), options.question)
        best = [row.design for row in _front(rows, options.question)]
        # The slowest first, so that no worker ends long after the others.
        wanted = [*reversed(references), *best]
        self.reporter.stage("front completed", len({entry.cost_digest for entry in wanted}))
        completed = evaluator.score(wanted, tuple(SCORERS.values()), self.reporter.advance)
        if not self.failures and not any(isinstance(found, Failure) for found in completed):
            reasons = {entry.row.design.cost_digest: entry.reason for entry in ruled_out}
            members = [
                Member(row.design, "space", reasons.get(row.design.cost_digest, "")) for row in self.rows.values()
            ]
            members += [Member(entry, "reference") for entry in references]
            evaluator.store.finish(run, members, _now())
        full: dict[str, Row] = {}
        for entry, found in zip(wanted, completed, strict=True):
            if not isinstance(found, Failure):
                full[entry.cost_digest] = Row(entry, found)
            elif found not in self.failures:
                self.failures.append(found)
        return SearchResult(
            evaluator.store.run(run),
            rows,
            tuple(full[entry.cost_digest] for entry in best if entry.cost_digest in full),
            tuple(
                _reference(entry, full[entry.cost_digest].scores, len(options.space.layers))
                for entry in references
                if entry.cost_digest in full
            ),
            ruled_out,
            tuple(self.failures),
            len(evaluator.new),
        )

    def _explore(self) -> None:
        options = self.options
        if options.chosen_method == "exhaustive":
            self._evaluate(list(self._distinct(options.space.genomes())))
            return
        if options.chosen_method == "random":
            self._evaluate(list(self._distinct(options.space.sample(options.seed, _DRAWS * options.budget))))
            return
        from dse.explore.nsga2 import Evolution

        evolution = Evolution(
            space=options.space,
            population=options.population,
            budget=options.budget,
            seed=options.seed,
            objectives=len(options.objectives),
            constraints=len(options.constraints),
            key=self._key,
        )
        if options.asynchronous:
            evolution.evolve_asynchronously(self._stream)
        else:
            evolution.evolve(self._evaluate)

    def _evaluate(self, genomes: Sequence[Genome]) -> list[Judgement]:
        designs = [self.decode(genome) for genome in genomes]
        found = self.evaluator.score(designs, self.scorers, self.reporter.advance, limits=self.options.constraints)
        return [self._judge(entry, scores) for entry, scores in zip(designs, found, strict=True)]

    def _stream(self, genomes: Iterator[Genome]) -> Iterator[tuple[Genome, Judgement]]:
        taken: dict[str, Genome] = {}

        def designs() -> Iterator[Subject]:
            for genome in genomes:
                taken[self._key(genome)] = genome
                yield self.decode(genome)

        for entry, scores in self.evaluator.stream(designs(), self.scorers, limits=self.options.constraints):
            self.reporter.advance()
            yield taken.pop(entry.cost_digest), self._judge(entry, scores)

    def _judge(self, entry: Subject, scores: Scores | Failure) -> Judgement:
        limits = self.options.constraints
        if isinstance(scores, Failure):
            self.failures.append(scores)
            return Judgement(None, [0.0] * len(limits))
        row = self.rows[entry.cost_digest] = Row(entry, scores)
        goal = _goal(row, self.options.objectives)
        return Judgement(
            goal if goal is not None and all(map(math.isfinite, goal)) else None, violations(limits, scores)
        )

    def _key(self, genome: Genome) -> str:
        return self.decode(genome).cost_digest

    def _distinct(self, genomes: Iterable[Genome]) -> list[Genome]:
        """The first genome of each design, up to the budget."""
        kept: dict[str, Genome] = {}
        for genome in genomes:
            kept.setdefault(self._key(genome), genome)
            if len(kept) == self.options.budget:
                break
        return list(kept.values())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reference(entry: Subject, scores: Scores, layers: int) -> Row:
    """A reference design beside designs for `layers` layers: with a multiplier in each of them, as those have."""
    return Row(entry, in_each_layer(scores, layers), True)


def _goal(row: Row, objectives: Sequence[Column]) -> list[float] | None:
    """The objectives' values, minimised; None where one was not measured."""
    return row.values(objectives) if all(column.name in row.scores for column in objectives) else None


def _sorted_out(rows: Iterable[Row], question: Question) -> tuple[tuple[Row, ...], tuple[RuledOut, ...]]:
    """(rows with all objectives, designs that break constraints)."""
    kept, ruled_out = [], []
    for row in rows:
        if _goal(row, question.objectives) is not None:
            kept.append(row)
        limits = broken(question.constraints, row.scores)
        if limits:
            left_out = [s.name for s in question.scorers if not all(column.name in row.scores for column in s.columns)]
            reason = ", ".join(
                f"{limit} (it has {number(row.scores[limit.column.name], limit.column.format)})" for limit in limits
            )
            if left_out:
                reason += f"; not measured: {', '.join(left_out)}"
            ruled_out.append(RuledOut(row, reason))
    return tuple(kept), tuple(ruled_out)


def _front(rows: Sequence[Row], question: Question) -> list[Row]:
    """The non-dominated rows that meet the constraints, sorted by the objectives, then by digest.

    A row with an undefined value has no rank.
    """
    objectives = question.objectives
    defined = [
        row
        for row in rows
        if all(map(math.isfinite, row.values(objectives))) and not broken(question.constraints, row.scores)
    ]
    kept = non_dominated([row.values(objectives) for row in defined])
    best = [row for row, keep in zip(defined, kept, strict=True) if keep]
    return sorted(best, key=lambda row: (row.values(objectives), row.design.cost_digest))


class _Stored:
    """Scores of the store for the scorers of a run, as its configuration records them: name -> (version, hash)."""

    def __init__(self, store: Store, configuration: Mapping[str, Any]) -> None:
        self._store = store
        self._keys = {name: tuple(entry) for name, entry in configuration["scorers"].items()}

    def __call__(self, entry: Subject, scorers: Sequence[Scorer], limits: Sequence[Constraint] = ()) -> Scores | None:
        found: dict[str, float] = {}
        for scorer in scorers:
            if broken(limits, found):
                break
            version, settings_hash = self._keys[scorer.name]
            scores = self._store.find(getattr(entry, scorer.key), scorer.name, version, settings_hash)
            if scores is None:
                return None
            if not {column.name for column in scorer.columns} <= scores.keys():
                raise StoreError(
                    f"the {scorer.name} scores of {entry.label} in {self._store.path} must be complete, but are "
                    f"{', '.join(sorted(scores)) or 'none'}; give another store."
                )
            found |= scores
        return found


def stored_result(store: Store, record: RunRecord) -> SearchResult | None:
    """The result of a finished run from the store alone; None when it is not finished or scores are missing.

    Raises StoreError where the run was made by other scorers than those of this program, or is no search of it.
    """
    check_configuration(store, record)
    configuration = record.configuration
    made = {name: version for name, (version, _) in configuration["scorers"].items()}
    ours = {name: scorer.version for name, scorer in SCORERS.items()}
    if configuration["search"] != SEARCH_VERSION or made != ours:
        raise StoreError(
            f"run {record.run[:10]} of {store.path} must be made by this version of the program, but has scorers "
            f"{_listed(made)} where this one has {_listed(ours)}; run its search again."
        )
    members = store.members(record.run)
    if members is None:
        return None
    question = Question.of(configuration)
    stored = _Stored(store, configuration)
    found = [
        (member, stored(member.design, question.scorers, question.constraints))
        for member in members
        if member.role == "space"
    ]
    scored = [Row(member.design, scores) for member, scores in found if scores is not None]
    if len(scored) < len(found):
        return None
    rows, ruled_out = _sorted_out(scored, question)
    chosen = [(row.design, False) for row in _front(rows, question)]
    # By name: a stored design has its own name, but not its standing among the named ones.
    chosen += [(design(name), True) for name, _ in configuration["references"]]
    full = []
    for entry, reference in chosen:
        scores = stored(entry, tuple(SCORERS.values()))
        if scores is None:
            return None
        layers = len(configuration["space"].get("layers", ()))
        full.append(_reference(entry, scores, layers) if reference else Row(entry, scores))
    front = tuple(row for row in full if not row.reference)
    return SearchResult(record, rows, front, tuple(row for row in full if row.reference), ruled_out, (), 0)


def check_configuration(store: Store, record: RunRecord) -> None:
    """StoreError unless a run is a search: a store may come from anywhere, and what is read of a configuration must
    have the type that it is used as."""
    if not _is_search(record.configuration) or not isinstance(record.provenance, dict):
        raise StoreError(
            f"run {record.run[:10]} of {store.path} must be a search of this version of the program, but its "
            "configuration is of another form; give another store."
        )


def _is_search(found: Any) -> bool:
    try:
        return (
            all(isinstance(found[key], kind) for key, kind in _CONFIGURATION.items())
            and isinstance(found["space"]["name"], str)
            and all(isinstance(text, str) for key in ("objectives", "constraints") for text in found[key])
            and all(isinstance(name, str) for name, _ in found["references"])
            and all(isinstance(version, int) for version, _ in found["scorers"].values())
            and all(isinstance(settings, str) for _, settings in found["scorers"].values())
            and all(
                isinstance(found["settings"][name], (int, float) if isinstance(value, float) else type(value))
                for name, value in asdict(Settings()).items()
                if not isinstance(value, tuple)
            )
        )
    except (KeyError, TypeError, ValueError):
        return False


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())
