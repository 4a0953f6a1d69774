"""TOML and JSON that users give, parsed within bounds; and TOML written.

The parsers of the standard library recurse once a level, need quadratic time for long dotted keys, and take integers of
any size. For TOML a linear scan bounds levels, dots and values before the text is parsed. The JSON parser is linear and
stops by itself at too many levels, so a JSON document is checked after it was parsed.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from circuits.errors import DesignError
from circuits.support.files import decode, read_bytes
from circuits.support.text import check_text, escape, is_unicode, printable, shorten

MAX_TOML_BYTES = 4 * 1024 * 1024
"""Largest TOML file read, in bytes."""
MAX_DEPTH = 16
"""Most levels of arrays and tables in the text of a TOML document, and most dots in a key."""
MAX_LEVELS = 64
"""Most levels of a parsed document; each part of a dotted key is one."""
MAX_VALUES = 50_000
"""Most keys, values, tables and lines of a TOML document; the whole text of a circuit is one value."""
MAX_ESCAPES = 500_000
"""Most backslashes in a TOML file: each costs tomllib a microsecond."""
MAX_WORD = 1000
"""Most characters of a number or a bare key."""
MAX_INTEGER = 2**64
"""Bound on integers: -MAX_INTEGER < value < MAX_INTEGER."""

# Matches strings and comments as a whole, closed or not, so that their content is skipped; outside of them, the
# characters that open, close or separate. The repetitions are possessive (*+): no text makes the search backtrack.
_TOKENS = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"{3,5}+)?'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5}+)?"
    r'|"(?:[^"\\\n]++|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+"
    r"|[\[\]{}.,=\n]"
    rf"|[0-9A-Za-z_+-]{{{MAX_WORD + 1}}}",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads and parses a TOML file of bounded size; DesignError (one line) where it cannot be read or is no TOML."""
    content = read_bytes(path, limit=MAX_TOML_BYTES)
    if content.count(b"\\") > MAX_ESCAPES:
        raise DesignError(f"{path} must be TOML of at most {MAX_ESCAPES} backslashes, but has more; split it.")
    return parse_toml(decode(content, path, what="TOML"), str(path))


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parses TOML; DesignError, which names `where`, for text that is no TOML, nests too deeply or is too large."""
    _scan(text, where)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DesignError(f"{where} must be TOML, but: {shorten(str(error), 300)}; correct that line.") from None
    except RecursionError:
        raise _too_deep(where, "TOML") from None
    except ValueError:  # int() takes a limited number of digits
        raise _too_large(where, "TOML") from None
    _check(document, where, "TOML", DesignError)
    return document


def _scan(text: str, where: str) -> None:
    """Raises DesignError where tomllib would take too long or recurse too deeply."""
    depth = dots = values = 0
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token == ".":
            dots += 1
        elif token in ("[", "{"):
            depth += 1
            dots = 0
        elif token in ("]", "}"):
            depth = max(depth - 1, 0)
        elif token in (",", "=", "\n"):
            dots = 0
        elif len(token) > MAX_WORD and token[0] not in "\"'#":
            raise DesignError(
                f"{where} must be TOML with numbers and bare keys of at most {MAX_WORD} characters, but has "
                f"{shorten(token)}; correct it."
            )
        if depth > MAX_DEPTH or dots > MAX_DEPTH:
            raise DesignError(
                f"{where} must be TOML of at most {MAX_DEPTH} levels and {MAX_DEPTH} dots in a key, but has more; "
                "flatten it."
            )
        values += token in (".", ",", "=", "[", "{", "\n")
        if values > MAX_VALUES:
            raise DesignError(f"{where} must be TOML of at most {MAX_VALUES} values and lines, but has more; split it.")


def parse_json(data: bytes | str, where: str, *, error: type[ValueError] = DesignError) -> Any:
    """Parses JSON; `error`, which names `where`, for data that is no JSON, nests too deeply or is no Unicode."""
    try:
        value = json.loads(data)
    except RecursionError:
        raise _too_deep(where, "JSON", error) from None
    except json.JSONDecodeError as problem:
        raise error(f"{where} must be JSON, but: {problem}; write it again.") from None
    except UnicodeDecodeError:
        raise error(f"{where} must be JSON in UTF-8, but is not; write it again.") from None
    except ValueError:  # int() takes a limited number of digits
        raise _too_large(where, "JSON", error) from None
    _check(value, where, "JSON", error)
    return value


def _check(document: Any, where: str, kind: str, error: type[ValueError]) -> None:
    """Raises `error` where a parsed document has too many levels, a large integer or a lone surrogate.

    A loop with a stack of its own, since hostile levels are what breaks recursion.
    """
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_LEVELS:
            raise _too_deep(where, kind, error)
        if isinstance(value, dict):
            waiting += [(key, depth) for key in value]
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, int) and not -MAX_INTEGER < value < MAX_INTEGER:
            raise _too_large(where, kind, error)
        elif isinstance(value, str) and not is_unicode(value):
            raise error(
                f"{where} must hold Unicode text, but {shorten(repr(value))} has half of a character; correct it."
            )


def _too_deep(where: str, kind: str, error: type[ValueError] = DesignError) -> ValueError:
    return error(f"{where} must be {kind} of at most {MAX_LEVELS} levels, but has more; flatten it.")


def _too_large(where: str, kind: str, error: type[ValueError] = DesignError) -> ValueError:
    return error(f"{where} must be {kind} with integers of at most 64 bits, but has a larger one; correct it.")


# Writing.


def toml_string(text: str) -> str:
    """`text` as a basic string of TOML, control and bidirectional characters escaped."""
    check_text("a value in TOML", text)
    return f'"{"".join(map(_toml_character, text))}"'


def _toml_character(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    return character if printable(character) == character else f"\\u{ord(character):04X}"


def toml_key(name: str) -> str:
    """`name` as a key: bare where TOML allows it, else quoted."""
    return name if _BARE_KEY.fullmatch(name) else toml_string(name)


def toml_value(value: Any) -> str:
    """Text, a number, a boolean, a list or a dictionary as an inline value of TOML.

    >>> toml_value({"width": [8, 8], "name": "a \\"design\\""})
    '{ width = [8, 8], name = "a \\\\"design\\\\"" }'
    """
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Iterable):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return json.dumps(value)


def toml_comment(text: str) -> str:
    """`text` as a comment of TOML, one line whatever it holds."""
    return "# " + printable(text).replace("\n", escape("\n"))
