"""Errors that a user can cause, and the helpers that word them: condition, value, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 40
"""Most names that a message lists."""


class DesignError(ValueError):
    """A cell, design or netlist that the user gave cannot be what it says."""


class UnknownCostError(DesignError):
    """The cost of a design that was given as a table, without a circuit."""


class UnknownNameError(DesignError):
    """A name that is not in a library; the message lists the nearest valid ones."""


def missing_package(what: str, package: str, extra: str) -> str:
    """The message for a missing optional package, with the README's command that installs the `extra` it belongs to."""
    return (
        f"{what} needs the package {package!r}, but it is not installed; run "
        f"`pip install -c constraints.txt -e '.[{extra}]'`."
    )


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UnknownNameError:
    """The error for a `name` that is not the name of any `kind`; lists the nearest valid names, or all if none is near.

    >>> print(unknown_name("design", "axfpn", ["axfpm", "heap"]))
    unknown design 'axfpn'; nearest: axfpm.
    >>> print(unknown_name("design", "nosuch", ["axfpm", "heap"]))
    unknown design 'nosuch'; available: axfpm, heap.
    """
    names = sorted(valid)
    original = {candidate.lower(): candidate for candidate in names}
    near = [original[match] for match in difflib.get_close_matches(name.lower(), original, n=3, cutoff=0.5)]
    listed = names if len(names) <= _LISTED else [*names[:_LISTED], f"... ({len(names)} in all)"]
    advice = f"nearest: {', '.join(near)}" if near else f"available: {', '.join(listed)}"
    return UnknownNameError(f"unknown {kind} {name!r}; {advice}.")
