"""Texts that have broken writers, all characters, and which of them names must not have."""

from __future__ import annotations

import sys

from hypothesis import strategies as st

from circuits import AdderCell, Design

UNICODE = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
SURROGATES = [chr(code) for code in range(0xD800, 0xE000)]
REFUSED = {
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=sorted(REFUSED)), min_size=1, max_size=40)
TRICKY = [
    "\x7f",
    "a\x7fb",
    "\U0001f600",
    "\U0010ffff",
    "'''",
    '"""\\',
    "\\u007f",
    "\\",
    "\r\n",
    "\ufeff",
    "\0",
    "#",
    "</script>&amp;<!--",
    "]]>",
    "=1+2",
    "$\\frac{a$",
    "日本語",
    "e\u0301",
]
"""Texts that have broken writers."""


def cell(source: str) -> AdderCell:
    return AdderCell("mine", "01101001", "00000011", source=source)


def small(name: str) -> Design:
    return Design(format=None, width=3, placement=cell(""), name=name)
