"""Text that others wrote, made safe for a terminal, for a CSV file that a spreadsheet opens, and for names.

Names and sources come from users' files, from stores and from results of other machines. A terminal obeys the control
characters in them, an editor the bidirectional ones, and a spreadsheet runs a field that begins like a formula.
"""

from __future__ import annotations

import re
from typing import Any

from circuits.errors import DesignError

_SURROGATES = "\ud800-\udfff"
_CONTROLS = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of writing
    "\u2028\u2029"  # line and paragraph separator
    "\ufffe\uffff"  # no characters, and no XML
    f"{_SURROGATES}"  # half of a character, which no encoding can hold
)
_CONTROL = re.compile(f"[{_CONTROLS}]")
_SURROGATE = re.compile(f"[{_SURROGATES}]")
_LAYOUT = "\n\t"
_FORMULA = "=+-@\t\r\n"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBERS = re.compile(rf"(?:{_NUMBER}|[+-]?(?:inf|nan))(?: +{_NUMBER})*+")


def printable(text: str) -> str:
    """`text` for a terminal: control and bidirectional characters become escapes like \\x1b; newlines and tabs stay."""
    return _CONTROL.sub(lambda match: match[0] if match[0] in _LAYOUT else escape(match[0]), text)


def escape(character: str) -> str:
    """A character as Python writes it in a string: \\x1b, \\u202e, \\n."""
    return character.encode("unicode_escape").decode("ascii")


def json_safe(text: str) -> str:
    """The JSON document `text`, safe for a terminal: control characters in its strings become \\uXXXX."""
    return _CONTROL.sub(lambda match: match[0] if match[0] in _LAYOUT else f"\\u{ord(match[0]):04x}", text)


def is_unicode(text: str) -> bool:
    """Whether every encoding of Unicode can hold `text`: lone surrogates have none."""
    return text.isascii() or not _SURROGATE.search(text)


def has_controls(text: str) -> bool:
    """Whether `text` contains control or bidirectional characters, or halves of characters."""
    return not (text.isascii() and text.isprintable()) and bool(_CONTROL.search(text))


def check_name(what: str, name: str) -> None:
    """Raises DesignError if the name of `what` ("a space") has control or bidirectional characters."""
    if has_controls(name):
        raise DesignError(
            f"the name of {what} must have no control characters, but got {shorten(repr(name))}; rename it."
        )


def check_text(what: str, text: str) -> None:
    """Raises DesignError unless `text`, which the message calls `what`, can be written to a file as UTF-8."""
    if not is_unicode(text):
        raise DesignError(
            f"{what} must be Unicode text, but {shorten(repr(text))} has half of a character; correct it."
        )


def csv_field(value: Any) -> Any:
    """`value` for a CSV file: text that a spreadsheet would run as a formula gets an apostrophe in front.

    Such text begins with = + - @, a tab or a line end. Numbers, and text that consists of numbers and blanks, stay as
    they are.

    >>> csv_field("=1+2"), csv_field("-1.5"), csv_field(-1.5)
    ("'=1+2", '-1.5', -1.5)
    """
    if isinstance(value, str) and value[:1] and value[0] in _FORMULA and not _NUMBERS.fullmatch(value):
        return f"'{value}"
    return value


def shorten(text: str, length: int = 80) -> str:
    """`text`, cut to at most `length` characters with dots."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
