"""Scorers from outside the project, `--scorer package.module:NAME`.

NAME is a `Scorer`, or a class (or function) that gives one when called without arguments. A class need not know
`Scorer`: an object with the attributes `name`, `version`, `columns` and a method `measure(candidate, settings)` will
do, and `cost`, `key` and `settings(settings)` where their defaults do not fit.

Worker processes, and workers of a Dask scheduler, import the scorer by this name, so the module must be importable
there. A store keeps what shows the scores (the columns), never the code: presenting a stored run imports nothing.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from numbers import Real
from typing import Any, NoReturn

from circuits.errors import DesignError
from circuits.support.numbers import SIGNIFICANT
from circuits.support.text import check_name, shorten
from dse.score.scorers import COLUMNS, SCORERS
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings, is_template
from dse.space.per_layer import Candidate

__all__ = ["load_scorer", "scorer_from_data", "scorer_to_data"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FORMAT = re.compile(r",?(\.\d{1,2})?[efg]?")
_CHOICES = {
    "cost": ("cheap", "network"),
    "key": ("digest", "cost_digest"),
    "scale": ("linear", "log", "symlog"),
    "over_layers": ("mean", "sum", "largest"),
}
_STORED_COLUMN = tuple(item.name for item in fields(Column) if item.name not in ("interval", "scope", "best"))
"""The fields of a column that a run records; `best` only where it has one."""
_OPTIONAL = ("cost", "key", "settings", "title", "comparison")
_ANYTHING = (Exception, SystemExit)
"""What a user's module may raise; it is reported in one line."""


@lru_cache(maxsize=64)
def load_scorer(specification: str) -> Scorer:
    """The scorer that "package.module:NAME" names, checked, with that name as its `source`.

    Raises DesignError, in one line, where the module cannot be imported or NAME is no valid scorer.
    """
    module_name, _, attribute = specification.partition(":")
    if not all(name.isidentifier() for name in (*module_name.split("."), attribute)):
        raise DesignError(f"a scorer must be given as package.module:NAME, but got {specification!r}; correct it.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # The module itself (or a package above it) is missing, or it is there and imports something that is not.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            _refuse(specification, f"its module needs {error.name!r}, which is not installed; install it")
        _refuse(specification, f"there is no module {error.name!r}; correct the name, or set PYTHONPATH")
    except _ANYTHING as error:
        _refuse(specification, f"importing its module failed with {_line(error)}; correct the module")
    try:
        value = getattr(module, attribute)
    except AttributeError:
        _refuse(specification, f"module {module_name} has no {attribute!r}; correct the name")
    if callable(value) and not isinstance(value, Scorer):
        try:
            value = value()
        except _ANYTHING as error:
            _refuse(specification, f"calling {attribute}() failed with {_line(error)}; correct it")
    try:
        scorer = value if isinstance(value, Scorer) else _adapted(value)
        # Wrapped before it is checked: nothing can call the bare `measure` any more.
        scorer = replace(scorer, source=specification, measure=_Checked(scorer))
        _check(scorer)
    except DesignError as error:
        _refuse(specification, str(error).rstrip("."))
    return scorer


def scorer_to_data(scorer: Scorer, settings: ScoreSettings) -> dict[str, Any]:
    """What a run records of a scorer from outside, JSON-ready: all that showing its scores needs."""
    columns = []
    for column in scorer.columns:
        data = {name: getattr(column, name) for name in _STORED_COLUMN}
        # With the settings filled in, since a reader knows only the text.
        # Braces are doubled because a note is a template, which would fill them again.
        if column.best is not None:
            data["best"] = column.best
        data["note"] = column.note_for(_values(settings)).replace("{", "{{").replace("}", "}}")
        columns.append(data)
    return {"source": scorer.source, "cost": scorer.cost, "key": scorer.key, "columns": columns}


def scorer_from_data(name: str, version: int, data: Mapping[str, Any]) -> Scorer:
    """The scorer that `scorer_to_data` described, fit to show stored scores; it cannot measure.

    Raises DesignError where the data have another form: a store may come from anywhere.
    """
    if not isinstance(data, Mapping) or data.keys() != {"source", "cost", "key", "columns"}:
        raise DesignError(f"scorer {shorten(repr(name))} must have a source, cost, key and columns; correct it.")
    if not isinstance(data["columns"], list) or not all(
        isinstance(entry, Mapping) and entry.keys() - {"best"} == set(_STORED_COLUMN) for entry in data["columns"]
    ):
        raise DesignError(f"scorer {shorten(repr(name))} must have columns in this version's form; correct it.")
    if not isinstance(data["source"], str):
        raise DesignError(f"scorer {shorten(repr(name))} must have a source that is text; correct it.")
    for entry in data["columns"]:
        _check_column_fields(entry)

    def measure(candidate: Candidate, settings: ScoreSettings) -> NoReturn:
        raise DesignError(f"scorer {name!r} was read from a store; give --scorer {data['source']} to measure.")

    scorer = Scorer(
        name=name,
        version=version,
        columns=tuple(Column(**entry) for entry in data["columns"]),
        measure=measure,
        cost=data["cost"],
        key=data["key"],
        source=data["source"],
    )
    _check(scorer)
    return scorer


class _Checked:
    """The `measure` of a scorer, with its result checked: scores enter a store for good."""

    def __init__(self, scorer: Scorer) -> None:
        self._name = scorer.name
        self._columns = scorer.columns
        self._measure = scorer.measure

    def __call__(self, candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
        try:
            scores = self._measure(candidate, settings)
        except SystemExit as error:  # It would end the whole search.
            raise ValueError(f"scorer {self._name!r} ended with SystemExit: {error}") from None
        columns = [column.name for column in self._columns]
        if not isinstance(scores, Mapping) or not set(columns) <= scores.keys():
            given = ", ".join(map(str, scores)) if isinstance(scores, Mapping) else type(scores).__name__
            raise ValueError(
                f"scorer {self._name!r} must return a score for {', '.join(columns)}, but returned {given}"
            )
        for name, value in scores.items():
            # Another prefix could overwrite what another scorer measured.
            if not any(name == column or str(name).startswith(f"{column}_") for column in columns):
                raise ValueError(f"scorer {self._name!r} must name details after its columns, but returned {name!r}")
            if not isinstance(value, Real) or math.isinf(value):
                raise ValueError(f"scorer {self._name!r} must return finite numbers or NaN, but {name} is {value!r}")
        return {str(name): float(value) for name, value in scores.items()}


def _adapted(value: object) -> Scorer:
    """The scorer that an object with a scorer's attributes describes."""
    missing = [name for name in ("name", "version", "columns", "measure") if not hasattr(value, name)]
    if missing:
        raise DesignError(
            f"it is a {type(value).__name__} without {', '.join(missing)}; make it a dse.score.scorers.scorer.Scorer, "
            "or an object with a scorer's attributes"
        )
    described: Any = value
    optional = {name: getattr(described, name) for name in _OPTIONAL if hasattr(described, name)}
    return Scorer(
        name=described.name,
        version=described.version,
        columns=described.columns,
        measure=described.measure,
        **optional,
    )


def _check(scorer: Scorer) -> None:
    """DesignError where a field of the scorer or of its columns cannot be used."""
    _check_name("the name", scorer.name)
    if scorer.name in SCORERS:
        raise DesignError(f"its name must not be that of a built-in scorer, but is {scorer.name!r}; rename it")
    if type(scorer.version) is not int or scorer.version < 1:
        raise DesignError(f"its version must be a positive integer, but is {scorer.version!r}; correct it")
    for what in ("cost", "key"):
        _check_choice(what, getattr(scorer, what))
    columns = scorer.columns
    if not isinstance(columns, tuple) or not columns or not all(isinstance(entry, Column) for entry in columns):
        raise DesignError("its columns must be a tuple of one or more Column; correct it")
    for column in columns:
        _check_column_fields({item.name: getattr(column, item.name) for item in fields(Column)})
        if column.name in COLUMNS:
            raise DesignError(f"its column must not have the name of a built-in one, but is {column.name!r}; rename it")
    if len({column.name for column in columns}) < len(columns):
        raise DesignError("its columns must have distinct names; rename one")
    for what in ("measure", "settings"):
        if not callable(getattr(scorer, what)):
            raise DesignError(f"its {what} must be a function, but is {getattr(scorer, what)!r}; correct it")
    try:
        # Tried here once, instead of in the middle of a search: the hash of these data is part of each score's key.
        json.dumps(scorer.settings_data(ScoreSettings()), sort_keys=True)
    except _ANYTHING as error:
        raise DesignError(f"its settings must be JSON-ready data, but: {_line(error)}; correct them") from None


def _check_column_fields(data: Mapping[str, Any]) -> None:
    _check_name("the name of a column", data["name"])
    for key in ("unit", "label", "format", "heading", "note"):
        if not isinstance(data[key], str):
            raise DesignError(f"{key} of column {data['name']} must be text, but is {data[key]!r}; correct it")
        for line in data[key].split("\n") if key == "heading" else [data[key]]:
            check_name(f"column {data['name']} ({key})", line)
    for key in ("minimise", "in_table", "partly_estimated"):
        if not isinstance(data[key], bool):
            raise DesignError(f"{key} of column {data['name']} must be True or False, but is {data[key]!r}; correct it")
    best = data.get("best")
    if best is not None and (not isinstance(best, Real) or isinstance(best, bool) or not math.isfinite(best)):
        raise DesignError(f"best of column {data['name']} must be a finite number or None, but is {best!r}; correct it")
    for key in ("scale", "over_layers"):
        _check_choice(f"{key} of column {data['name']}", data[key], key)
    if data["format"] != SIGNIFICANT and not _FORMAT.fullmatch(data["format"]):
        raise DesignError(
            f"format of column {data['name']} must be a format such as '.2f', but is {data['format']!r}; correct it"
        )
    if not is_template(data["note"]):
        raise DesignError(
            f"note of column {data['name']} may hold names of settings in braces ({{samples:,}}) and no other braces; "
            "write a brace twice"
        )


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DesignError(f"{what} must be letters a-z, digits and _, but is {shorten(repr(name))}; rename it")


def _check_choice(what: str, value: object, key: str = "") -> None:
    choices = _CHOICES[key or what]
    if value not in choices:
        raise DesignError(f"{what} must be one of {', '.join(choices)}, but is {value!r}; correct it")


def _values(settings: ScoreSettings) -> dict[str, Any]:
    return {item.name: getattr(settings, item.name) for item in fields(settings)}


def _refuse(specification: str, reason: str) -> NoReturn:
    raise DesignError(f"scorer {specification} cannot be used: {reason}.") from None


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
