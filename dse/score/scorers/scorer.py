"""What a scorer is: one measurement of a design, with the columns it gives and all that tables say about them.

A scorer measures several columns at once, is keyed by the digest of what it depends on (behaviour, or behaviour and
cost data) and has a version, raised by hand whenever the same design and settings would give other numbers. A stored
score is found again by digest, scorer, version and the hash of the settings that the scorer declares.

A score is a number by name. The name is a column ("nmed") or a detail of one ("nmed_low", "accuracy_images"); details
hold interval bounds, counts and ratios, and are stored with the column but are no objectives.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from string import Formatter
from typing import Any, Literal

from circuits.support.numbers import number
from dse.score.networks.network_settings import NetworkSettings
from dse.space.per_layer import Candidate

__all__ = [
    "Column",
    "ComparisonLine",
    "ScoreSettings",
    "Scorer",
    "Scores",
    "interval_text",
    "is_template",
    "plain_text",
    "stored_interval",
]

Scores = Mapping[str, float]
"""Column or detail -> value."""
_NOTE_FORMAT = re.compile(r",?(\.\d)?[defg]?")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What the scores of a run are measured with.

    `images`: number of test images of the embedded `dataset`, from the first, for the trained `model`, which may be
    package.module:factory; `network`: more about them (`dse.settings_for_network` fills it in). `examples`: sets of
    adversarial examples, all examples of each; `margin`: the factor on their perturbations for the transfer rate at
    margin. `attack_*`: images (0: robustness is measured only where an objective or constraint asks for it), Linf
    budget, steps and random starts of the adaptive attack. `samples`: operand pairs of the error metrics;
    `cost_samples`: operand pairs of the cost model's switching activity; both drawn from `seed`.
    """

    model: str = "lenet5"
    dataset: str = "mnist"
    images: int = 2000
    examples: tuple[str, ...] = ("pgd", "fgsm_smallest")
    margin: float = 1.2
    attack_images: int = 100
    attack_epsilon: float = 0.1
    attack_steps: int = 20
    attack_restarts: int = 2
    samples: int = 100_000
    cost_samples: int = 2048
    seed: int = 0
    network: NetworkSettings = field(default_factory=NetworkSettings)

    @property
    def is_default_network(self) -> bool:
        """Whether scores are measured in the network that searches have used ever since."""
        return (self.model, self.dataset, self.network) == ("lenet5", "mnist", NetworkSettings())

    @property
    def network_text(self) -> str:
        """The network, its codes and layers in words; empty for the default one."""
        return "" if self.is_default_network else f"{self.model} on {self.dataset}, {self.network.describe()}"

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, part of what identifies a run in the store; without `network` where that is the default."""
        data = asdict(self)
        del data["network"]
        return {**data, "network": network} if (network := self.network.to_data()) else data


def stored_interval(name: str, scores: Scores) -> tuple[float, float] | None:
    """The 95 % interval that the scorer stored beside column `name`, as details NAME_low and NAME_high; else None."""
    if f"{name}_low" not in scores or f"{name}_high" not in scores:
        return None
    return scores[f"{name}_low"], scores[f"{name}_high"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A number that a scorer gives, and how everything shows it; smaller is better unless `minimise` is False.

    - `unit`: the unit; "1" for ratios and "count" for counts.
    - `label`: the name on axes and in hover texts.
    - `format`: how tables print it (see `circuits.support.numbers.number`).
    - `scale`: of its axis: "linear", "log", or "symlog" (linear up to 1, logarithmic beyond).
    - `heading`: above it in printed tables, the unit in a second line; default: name and unit.
    - `in_table`: whether printed tables show it although it is no objective.
    - `note`: a sentence that explains it below tables; `{samples:,}` stands for that field of the settings. A note that
      begins with "*" explains an asterisk in `heading` and comes first; columns with one text share the note.
    - `scope`: what the number is of, where that is not one multiplier ("sum of 2 layers").
    - `over_layers`: how the scores of a network with one multiplier in each layer follow from those of its multipliers:
      "mean" (weighted by products an image), "sum" or "largest".
    - `partly_estimated`: whether estimated costs of cells enter it; tables then mark it with "~".
    - `interval`: gives the 95 % interval from the column's name and all scores; None where there is none.
    - `best`: the best value that it can take, e.g. 0 for an error or 100 for a share in %; None where it has no limit.
      A search does not measure an objective where even this value could not bring the design to the front.
    """

    name: str
    unit: str
    label: str
    format: str
    minimise: bool = True
    scale: Literal["linear", "log", "symlog"] = "linear"
    heading: str = ""
    in_table: bool = True
    note: str = ""
    scope: str = ""
    over_layers: Literal["mean", "sum", "largest"] = "mean"
    partly_estimated: bool = False
    interval: Callable[[str, Scores], tuple[float, float] | None] = field(default=stored_interval, compare=False)
    best: float | None = None

    @property
    def header(self) -> str:
        """Name, scope and unit, e.g. "delay [ps]" or "area, sum of 2 layers [um^2]"."""
        return f"{self.name}{self.scoped} [{self.unit}]"

    @property
    def scoped(self) -> str:
        """The scope as it follows a name: ", sum of 2 layers", or nothing."""
        return f", {self.scope}" if self.scope else ""

    @property
    def table_heading(self) -> str:
        """The heading of a printed table, one line each: "area*", "sum of 2 layers", "um^2"."""
        plain = self.name if self.unit == "1" else f"{self.name}\n{self.unit}"
        name, *unit = (self.heading or plain).split("\n")
        return "\n".join([name, *([self.scope] if self.scope else []), *unit])

    def note_for(self, settings: Mapping[str, Any]) -> str:
        """The note with the values of the settings filled in."""
        assert is_template(self.note)
        return self.note.format_map(settings)


def is_template(note: str) -> bool:
    """Whether `note` is text with no other braces than names of settings, as in "{samples:,} pairs".

    Notes may come from a store of unknown origin, and `str.format` reaches attributes and pads to any length.
    """
    try:
        pieces = list(Formatter().parse(note))
    except ValueError:
        return False
    names = ScoreSettings().to_data()
    return all(
        name is None or (name in names and not conversion and _NOTE_FORMAT.fullmatch(specification or "") is not None)
        for _, name, specification, conversion in pieces
    )


@dataclass(frozen=True)
class ComparisonLine:
    """A line of `dse.compare`: its heading and the text for a design; `partly_estimated` as in Column."""

    heading: str
    text: Callable[[Scores], str]
    partly_estimated: bool = False


def plain_text(name: str, format: str) -> Callable[[Scores], str]:
    """The text of a score without its interval: "98.20"."""
    return lambda scores: number(scores[name], format)


def interval_text(name: str, format: str) -> Callable[[Scores], str]:
    """The text of a score and of its stored interval, if defined: "0.500 [0.250, 0.750]"."""

    def text(scores: Scores) -> str:
        value = number(scores[name], format)
        bounds = stored_interval(name, scores)
        if bounds is None or math.isnan(bounds[0]):
            return value
        low, high = (number(bound, format) for bound in bounds)
        return f"{value} [{low}, {high}]"

    return text


def _no_settings(settings: ScoreSettings) -> dict[str, Any]:
    return {}


def _no_screens(settings: ScoreSettings) -> tuple[Scorer, ...]:
    return ()


def _always(settings: ScoreSettings) -> bool:
    return True


def _no_refusal(settings: ScoreSettings) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One measurement.

    - `name`, `version`: with the digest and the settings' hash, the key of a stored score.
    - `columns`: the columns that every measurement gives.
    - `measure`: (design or designs for each layer, settings) -> columns and details, all numbers; NaN where a score is
      undefined. It must depend on nothing but its arguments, `settings` and `version`.
    - `cost`: "cheap" (the circuit alone) or "network". Cheap scorers run first, and a design that they show to break a
      constraint is not measured any further.
    - `key`: the digest that decides the result, "digest" (behaviour) or "cost_digest" (behaviour and cost).
    - `settings`: the JSON-ready settings that it depends on, checksums of weights and images included.
    - `title`: (heading, what was measured) of its part of `dse.compare`; default: the name.
    - `comparison`: the lines of that part; default: one for each column.
    - `source`: "package.module:NAME" of a scorer from outside, by which workers import it; empty for those built in.
    - `is_asked_for`: whether these settings ask for it although no objective or constraint names its columns.
    - `refusal`: why it cannot measure with these settings, as the end of a sentence; empty where it can.
    - `screens`: cheaper measurements that come before this one in a search, cheapest first. Each is a scorer without
      columns, whose scores are stored like others and are no scores of the design; `bounds` gives the best values that
      this scorer's columns can take after them.
    """

    name: str
    version: int
    columns: tuple[Column, ...]
    measure: Callable[[Candidate, ScoreSettings], dict[str, float]]
    cost: Literal["cheap", "network"] = "cheap"
    key: Literal["digest", "cost_digest"] = "cost_digest"
    settings: Callable[[ScoreSettings], dict[str, Any]] = _no_settings
    title: Callable[[ScoreSettings], tuple[str, str]] | None = None
    comparison: Callable[[ScoreSettings], list[ComparisonLine]] | None = None
    source: str = ""
    is_asked_for: Callable[[ScoreSettings], bool] = _always
    refusal: Callable[[ScoreSettings], str] = _no_refusal
    screens: Callable[[ScoreSettings], tuple[Scorer, ...]] = _no_screens
    bounds: Callable[[Scores], dict[str, float]] | None = None

    def settings_data(self, settings: ScoreSettings) -> dict[str, Any]:
        """The settings that the score depends on, JSON-ready; those of a scorer from outside name it and its columns.

        Its version is raised by somebody else: two scorers of one name, or a new column, must not share scores.
        """
        data = self.settings(settings)
        if not self.source:
            return data
        return {**data, "source": self.source, "columns": [column.name for column in self.columns]}

    def settings_hash(self, settings: ScoreSettings) -> str:
        """SHA-256 (hex) of `settings_data`; computed once in a process."""
        return _settings_hash(self, settings)

    def comparison_title(self, settings: ScoreSettings) -> tuple[str, str]:
        """(heading, what was measured) of its part of `dse.compare`."""
        if self.title is not None:
            return self.title(settings)
        return self.name, ", ".join(column.label for column in self.columns)

    def comparison_lines(self, settings: ScoreSettings) -> list[ComparisonLine]:
        """The lines of its part of `dse.compare`."""
        if self.comparison is not None:
            return self.comparison(settings)
        return [
            ComparisonLine(
                column.label if column.unit == "1" else f"{column.label}, {column.unit}",
                interval_text(column.name, column.format),
                column.partly_estimated,
            )
            for column in self.columns
        ]


@lru_cache(maxsize=256)
def _settings_hash(scorer: Scorer, settings: ScoreSettings) -> str:
    return hashlib.sha256(json.dumps(scorer.settings_data(settings), sort_keys=True).encode()).hexdigest()
