"""Errors that a user can cause, and the helpers that word them: condition, value, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 40


class DesignError(ValueError):
    """A cell, design or netlist that the user gave cannot be what it says."""


class UnknownNameError(DesignError):
    """A name that is not in a library; the message names the nearest valid ones."""


def missing_package(what: str, package: str, extra: str) -> str:
    """The message of a missing optional package, with the README's command that installs the `extra` it belongs to."""
    return (
        f"{what} needs the package {package!r}, but it is not installed; run "
        f"`pip install -c constraints.txt -e '.[{extra}]'`."
    )


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UnknownNameError:
    """The error for `name`, which is no `kind`: names the nearest valid names, or all where none is near."""
    names = sorted(valid)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    known = names if len(names) <= _LISTED else [*names[:_LISTED], f"... ({len(names)} in all)"]
    advice = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known)}"
    return UnknownNameError(f"the {kind} must be a known name, but got {name!r}; {advice}.")
