"""What is asked of a search: the space, the objectives and constraints, the method and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import DesignError, unknown_name
from circuits.exchange.design_files import find_design
from cnn_eval.choices import LAYERS
from dse.explore.methods import SEARCH_METHODS
from dse.score.constraints import Constraint, constraints
from dse.score.networks.network_settings import OPERANDS
from dse.score.outside_scorer import load_scorer, scorer_from_data, scorer_to_data
from dse.score.scorer_choice import (
    all_scorers,
    available_scorers,
    columns_of,
    objectives,
    refuse_what_cannot_be_measured,
    scorers_giving,
)
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.space.search_space import ARRAYS, REFERENCES, Space

__all__ = ["METHODS", "REFERENCES", "SEARCH_VERSION", "UNCHANGED_SINCE", "Question", "SearchOptions"]

SEARCH_VERSION = 5
"""Raised whenever the same options would evaluate other designs."""
UNCHANGED_SINCE = 3
"""The version under which runs are recorded that neither skipped designs nor seeds of layers can have changed since
then, so that those that are there are found."""
METHODS = ("auto", *SEARCH_METHODS)
"""How designs are chosen; "auto": exhaustive where the space has no more genomes than the budget; surrogate in a space
of more than a thousand million where scores of the network are asked for, and the budget is small; else nsga2."""
_LARGE = 10**9
"""Genomes from which a surrogate is worth its time: a smaller space is soon covered by evolution."""
_FITTED = 2000
"""Largest budget for it: fitting takes longer with every design, while nsga2 costs next to nothing."""
_GENERATIONS, _POPULATIONS = 20, (8, 20)
"""Generations that a budget is divided into, and the least and the largest population that follows from it."""
_OF_NETWORK = {"image_energy", "layer_nmed", "layer_mred"}
"""Columns that depend on the layers of the network and on their products."""
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
        # A scorer added to the program since then does not belong to the run.
        available = tuple(scorer for scorer in all_scorers(outside) if scorer.name in versions)
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
    - `population`: designs in a generation of NSGA-II, and in a batch of the surrogate. 0 stands for 20; for networks,
      whose budgets are small, for a twentieth of the budget, from 8 to 20, so that there are generations enough.
    - `budget`: number of designs of the space to score, references not counted.
    - `seed`: of the search.
    - `method`: one of `METHODS`.
    - `asynchronous`: NSGA-II breeds whenever a worker is free. It keeps all workers busy, but which designs are scored
      then depends on how fast each one is.
    - `settings`: what the scores are measured with.
    - `references`: designs, or what `find_design` takes, that are scored and marked; default: `REFERENCES` where the
      space has float designs, exact multipliers for integers.
    - `scorers`: scorers from outside in addition to the built-in ones, as "package.module:NAME" or as `load_scorer`
      gives them.

    Names and texts are replaced by what they mean, and layers of the network in `space` by their names and products;
    what the space says about layers and operands then stands in `settings`, too. Raises DesignError for names and texts
    without a meaning, for designs that do not fit the network, and when `method` is "exhaustive" and the space has more
    genomes than the budget.
    """

    space: Space = ARRAYS
    objectives: Sequence[Column | str] = ("energy", "delay", "accuracy_loss")
    constraints: Sequence[Constraint | str] = ()
    population: int = 0
    budget: int = 240
    seed: int = 0
    method: str = "auto"
    asynchronous: bool = False
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    scorers: Sequence[Scorer | str] = ()
    references: Sequence[Design | str] = ()

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
        references = [entry if isinstance(entry, Design) else find_design(entry) for entry in self.references]
        object.__setattr__(self, "references", tuple(told_apart(references)) or self.space.references)
        self._fit_to_network()
        refuse_what_cannot_be_measured(all_scorers(outside), self.settings, self._asked)
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if not self.population:
            small, large = _POPULATIONS
            # Searches of cheap scores have long had the large one: so their stored runs are found.
            chosen = min(max(self.budget // _GENERATIONS, small), large) if self._is_guided else large
            object.__setattr__(self, "population", chosen)
        if self.method == "exhaustive" and self.space.size > self.budget:
            raise DesignError(
                f"the budget must cover the space for method exhaustive, but got {self.budget:,} for "
                f"{self.space.size_text} genomes; raise the budget, or choose nsga2 or random."
            )

    def _fit_to_network(self) -> None:
        """Takes what the space says about layers and operands into the settings, and tries the network."""
        space, settings = self.space, self.settings
        if space.operands != OPERANDS[0]:
            settings = replace(settings, network=replace(settings.network, operands=space.operands))
        wants_products = bool(_OF_NETWORK & self._asked) or not settings.is_default_network
        if wants_products or space.layers or space.network_layers:
            # Only now torch is needed.
            from dse.score.networks.network_fitting import with_layers

            fitted = with_layers(settings, self._layers(space, settings), integer=space.is_integer)
            products = fitted.network.products
            if space.network_layers:
                space = space.of_layers(products)
            elif not wants_products:
                # Layers with products in the space are all that earlier versions knew: their scores keep their keys.
                products = ()
            settings = replace(fitted, network=replace(fitted.network, products=products))
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "settings", settings)
        if not settings.is_default_network or any(each.format is None for each in self.reference_designs):
            from dse.score.networks.network_fitting import check_fits

            for candidate in (*space.examples, *self.reference_designs):
                check_fits(candidate, settings)

    @staticmethod
    def _layers(space: Space, settings: ScoreSettings) -> str | tuple[str, ...]:
        """The layers that designs go to: those of the space, or of the settings where it says nothing."""
        names = tuple(name for name, _ in space.layers) or space.network_layers
        if len(names) == 1 and names[0] in LAYERS:
            return names[0]
        return names or settings.network.layers

    @property
    def _asked(self) -> set[str]:
        """Names of the columns that objectives and constraints name."""
        columns = [entry for entry in self.objectives if isinstance(entry, Column)]
        columns += [entry.column for entry in self.constraints if isinstance(entry, Constraint)]
        return {column.name for column in columns}

    @property
    def reference_designs(self) -> tuple[Design, ...]:
        """`references`, found."""
        return tuple(entry for entry in self.references if isinstance(entry, Design))

    @property
    def chosen_method(self) -> str:
        """`method`, with what "auto" means here."""
        if self.method != "auto":
            return self.method
        if self.space.size <= self.budget:
            return "exhaustive"
        # A proposal of the surrogate costs tens of milliseconds: little beside a network, much beside cheap scores.
        dear = any(scorer.cost == "network" for scorer in self.question.scorers)
        return "surrogate" if dear and self.space.size > _LARGE and self.budget <= _FITTED else "nsga2"

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
            available_scorers(all_scorers(self.outside_scorers), self.settings, self._asked),
        )

    @property
    def _is_guided(self) -> bool:
        """Whether designs that are not measured, or seeds of layers, decide which designs are evaluated."""
        if self.chosen_method in ("exhaustive", "random"):
            return False
        skipping = any(scorer.cost == "network" for scorer in self.question.scorers)
        return self.chosen_method == "surrogate" or skipping or len(self.space.layers) > 1

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the versions and settings of all scorers: what identifies a run in the store."""
        question = self.question
        data = {
            "search": SEARCH_VERSION if self._is_guided else UNCHANGED_SINCE,
            "space": self.space.to_data(),
            "space_text": self.space.describe(),
            "objectives": [column.name for column in question.objectives],
            "constraints": [str(limit) for limit in question.constraints],
            "population": self.population,
            "budget": self.budget,
            "seed": self.seed,
            "method": self.chosen_method,
            "asynchronous": self.asynchronous,
            "settings": self.settings.to_data(),
            "references": [[entry.name or entry.label, entry.cost_digest] for entry in self.reference_designs],
            "scorers": {
                scorer.name: [scorer.version, scorer.settings_hash(self.settings)] for scorer in question.available
            },
        }
        if network := self.settings.network_text:
            data["network_text"] = network
        if self.scorers:
            data[_OUTSIDE] = {scorer.name: scorer_to_data(scorer, self.settings) for scorer in self.outside_scorers}
        return data
