"""The scorers and columns of a run: the built-in ones, those from outside, and the choice among them by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from circuits.errors import DesignError, unknown_name
from dse.score.scorers import COLUMNS, SCORERS
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings

__all__ = [
    "all_scorers",
    "available_scorers",
    "columns_for",
    "columns_of",
    "objectives",
    "refuse_what_cannot_be_measured",
    "scorers_giving",
]


def all_scorers(outside: Sequence[Scorer] = ()) -> tuple[Scorer, ...]:
    """The built-in scorers and those from `outside`, in the order in which a design is measured: cheap ones first.

    Raises DesignError where two of them share a name, or the name of a column.
    """
    scorers = [*SCORERS.values(), *outside]
    for kind, names in (
        ("scorers", [scorer.name for scorer in scorers]),
        ("columns of scorers", [column.name for scorer in scorers for column in scorer.columns]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise DesignError(f"{kind} must have distinct names, but {name!r} is given twice; rename one.")
    return tuple(sorted(scorers, key=lambda scorer: scorer.cost != "cheap"))  # stable: otherwise in the order given


def available_scorers(
    scorers: Iterable[Scorer], settings: ScoreSettings, asked: Collection[str] = ()
) -> tuple[Scorer, ...]:
    """Those of `scorers` that can measure with these settings, and are wanted: by the settings, or since `asked` names
    one of their columns."""
    return tuple(
        scorer
        for scorer in scorers
        if _is_asked(scorer, asked) or (scorer.is_asked_for(settings) and not scorer.refusal(settings))
    )


def refuse_what_cannot_be_measured(scorers: Iterable[Scorer], settings: ScoreSettings, asked: Collection[str]) -> None:
    """Raises DesignError where `asked` names a column that its scorer cannot measure with these settings."""
    for scorer in scorers:
        names = [column.name for column in scorer.columns if column.name in asked]
        if names and (reason := scorer.refusal(settings)):
            raise DesignError(f"{names[0]} cannot be measured of this network: {reason}.")


def _is_asked(scorer: Scorer, asked: Collection[str]) -> bool:
    return any(column.name in asked for column in scorer.columns)


def columns_of(scorers: Iterable[Scorer]) -> Mapping[str, Column]:
    """The columns of these scorers by name, in order."""
    return MappingProxyType({column.name: column for scorer in scorers for column in scorer.columns})


def columns_for(layers: int, columns: Mapping[str, Column] = COLUMNS) -> Mapping[str, Column]:
    """`columns` as they read for a network with a multiplier in each of `layers` layers; 0: one design for all."""
    if not layers:
        return columns
    # Only sums change their meaning with the number of layers; means and maxima read alike.
    scope = f"sum of {layers} layers" if layers > 1 else "1 layer"
    return MappingProxyType(
        {
            name: replace(column, scope=scope) if column.over_layers == "sum" else column
            for name, column in columns.items()
        }
    )


def objectives(names: Iterable[str], columns: Mapping[str, Column] = COLUMNS) -> tuple[Column, ...]:
    """Those of `columns` that have these names, as objectives; each is minimised or maximised as it says itself.

    Raises UnknownNameError with the nearest names, DesignError when a name is repeated or none is given.
    """
    chosen: list[Column] = []
    for name in names:
        if name not in columns:
            raise unknown_name("objective", name, columns)
        if columns[name] in chosen:
            raise DesignError(f"objectives must be distinct, but got {name!r} twice; leave one out.")
        chosen.append(columns[name])
    if not chosen:
        raise DesignError(f"objectives must name at least one of {', '.join(columns)}, but got none; choose some.")
    return tuple(chosen)


def scorers_giving(columns: Iterable[Column], scorers: Iterable[Scorer]) -> tuple[Scorer, ...]:
    """Those of `scorers`, in order, that give at least one of these columns."""
    names = {column.name for column in columns}
    return tuple(scorer for scorer in scorers if any(column.name in names for column in scorer.columns))
