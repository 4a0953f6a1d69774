"""Sentences below a search's tables, and its title: what was measured with what, read from columns and settings."""

from __future__ import annotations

from dse.explore.search_result import SearchResult
from dse.present.intervals import indistinct_note
from dse.present.score_table import estimates_note
from dse.score.scored_design import ScoredDesign

__all__ = ["front_note", "notes", "plain_rows", "title_of"]


def title_of(result: SearchResult) -> str:
    """How many designs of which space, and the seed."""
    configuration = result.record.configuration
    return f"{result.scored} designs of space {configuration['space']['name']}, seed {configuration['seed']}"


def plain_rows(result: SearchResult) -> list[ScoredDesign]:
    """The front, then the references."""
    return [*result.front, *result.references]


def notes(result: SearchResult) -> list[str]:
    """What the columns mean and what they were measured with, a sentence or two each.

    First those that explain an asterisk, then the mark of estimates and what sums over layers are, then the others.
    """
    settings = result.record.configuration["settings"]
    network = result.record.configuration.get("network_text", "")
    texts = dict.fromkeys(column.note_for(settings) for column in result.columns.values() if column.note)
    estimates = estimates_note(plain_rows(result))
    return [
        *(text for text in texts if text.startswith("*")),
        *([f"Network: {network}."] if network else []),
        *([f"{estimates}."] if estimates else []),
        *([_layers_note(result.layers)] if result.layers else []),
        *(text for text in texts if not text.startswith("*")),
    ]


def _layers_note(layers: int) -> str:
    return (
        f"A multiplier for each of {layers} layers: area and transistors are sums over them, delay is the slowest "
        "one's, energy, NMED and MRED are means weighted by products an image; for reference designs likewise, with "
        "the same multiplier in every layer."
    )


def front_note(result: SearchResult) -> str:
    """Which members of the front their samples do not tell apart in what they were judged by; may be empty."""
    names = [column.name for column in result.objectives]
    names += [limit.column.name for limit in result.question.constraints]
    return indistinct_note(result.front, [result.columns[name] for name in dict.fromkeys(names)])
