"""What is asked of a search: the space, the objectives and constraints, the method and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from circuits.designs.named_designs import design
from circuits.errors import DesignError, unknown_name
from dse.explore.methods import SEARCH_METHODS
from dse.score.constraints import Constraint, constraints
from dse.score.outside_scorer import load_scorer, scorer_from_data, scorer_to_data
from dse.score.scorer_choice import all_scorers, columns_of, objectives, scorers_giving
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.space.search_space import SPACES, Space

__all__ = ["METHODS", "REFERENCES", "SEARCH_VERSION", "Question", "SearchOptions"]

REFERENCES = ("exact", "heap", "axfpm", "axfpm_tiled", "bfloat16")
"""The named designs that every search scores and marks."""
SEARCH_VERSION = 3
"""Raised whenever the same options would evaluate other designs."""
METHODS = ("auto", *SEARCH_METHODS)
"""How designs are chosen; "auto": exhaustive where the space has no more genomes than the budget, else nsga2."""
_OUTSIDE = "outside_scorers"
"""Where a run's configuration describes its scorers from outside; runs without any have no such entry."""


@dataclass(frozen=True)
class Question:
    """What designs are judged by, and all scorers of the run (`available`), cheap ones first."""

    objectives: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    available: tuple[Scorer, ...]

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Question:
        """The question that `SearchOptions.to_data` recorded; DesignError where it is malformed."""
        versions = configuration["scorers"]
        outside = [
            scorer_from_data(name, versions[name][0], data) for name, data in configuration.get(_OUTSIDE, {}).items()
        ]
        available = all_scorers(outside)
        columns = columns_of(available)
        return cls(
            objectives(configuration["objectives"], columns),
            constraints(configuration["constraints"], columns),
            available,
        )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of all scorers of the run, in the order of tables."""
        return columns_of(self.available)

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """The scorers that measure every design of the space, in order, unless it is ruled out before.

        Scores of the circuit enter every row. Those of the network cost more: they are left to the front, unless an
        objective or a constraint asks for them.
        """
        needed = scorers_giving([*self.objectives, *(limit.column for limit in self.constraints)], self.available)
        return tuple(scorer for scorer in self.available if scorer in needed or scorer.cost == "cheap")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """All that decides a search's result.

    - `space`: the designs to choose from.
    - `objectives`: names of columns, or columns; `constraints`: texts such as "accuracy_loss<=0.5", or constraints.
    - `population`: designs in a generation of NSGA-II.
    - `budget`: number of designs of the space to score, references not counted.
    - `seed`: of the search.
    - `method`: one of `METHODS`.
    - `asynchronous`: NSGA-II breeds whenever a worker is free. It keeps all workers busy, but which designs are scored
      then depends on how fast each one is.
    - `settings`: what the scores are measured with.
    - `scorers`: scorers from outside in addition to the built-in ones, as "package.module:NAME" or as `load_scorer`
      gives them.

    Names and texts are replaced by what they mean. Raises DesignError for names and texts without a meaning, and when
    `method` is "exhaustive" and the space has more genomes than the budget.
    """

    space: Space = SPACES["arrays"]
    objectives: Sequence[Column | str] = ("energy", "delay", "accuracy_loss")
    constraints: Sequence[Constraint | str] = ()
    population: int = 20
    budget: int = 240
    seed: int = 0
    method: str = "auto"
    asynchronous: bool = False
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    scorers: Sequence[Scorer | str] = ()

    def __post_init__(self) -> None:
        outside = tuple(load_scorer(entry) if isinstance(entry, str) else entry for entry in self.scorers)
        for scorer in outside:
            if not scorer.source:
                raise DesignError(
                    f"a scorer must come from a module that workers can import, but {scorer.name!r} is only an object; "
                    'give it as "package.module:NAME".'
                )
        columns = columns_of(all_scorers(outside))
        names = (entry if isinstance(entry, str) else entry.name for entry in self.objectives)
        object.__setattr__(self, "scorers", outside)
        object.__setattr__(self, "objectives", objectives(names, columns))
        object.__setattr__(self, "constraints", constraints(self.constraints, columns))
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
    def outside_scorers(self) -> tuple[Scorer, ...]:
        """`scorers`, loaded."""
        return tuple(entry for entry in self.scorers if isinstance(entry, Scorer))

    @property
    def question(self) -> Question:
        """What designs are judged by."""
        return Question(
            tuple(entry for entry in self.objectives if isinstance(entry, Column)),
            tuple(entry for entry in self.constraints if isinstance(entry, Constraint)),
            all_scorers(self.outside_scorers),
        )

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the versions and settings of all scorers: what identifies a run in the store."""
        question = self.question
        data = {
            "search": SEARCH_VERSION,
            "space": self.space.to_data(),
            "space_text": self.space.describe(),
            "objectives": [column.name for column in question.objectives],
            "constraints": [str(limit) for limit in question.constraints],
            "population": self.population,
            "budget": self.budget,
            "seed": self.seed,
            "method": self.chosen_method,
            "asynchronous": self.asynchronous,
            "settings": asdict(self.settings),
            "references": [[name, design(name).cost_digest] for name in REFERENCES],
            "scorers": {
                scorer.name: [scorer.version, scorer.settings_hash(self.settings)] for scorer in question.available
            },
        }
        if self.scorers:
            data[_OUTSIDE] = {scorer.name: scorer_to_data(scorer, self.settings) for scorer in self.outside_scorers}
        return data
