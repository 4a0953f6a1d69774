"""4:2 compressors: truth tables as papers print them, the library, and users' own from TOML.

A compressor takes four bits of a column, with a carry chain also Cin, the Cout of its neighbour in the column below.
It gives a sum of the same weight and a carry, with a chain also Cout, of twice the weight:

    exact, with a chain     x1 + x2 + x3 + x4 + Cin = sum + 2 (carry + Cout)        32 rows x1 x2 x3 x4 Cin
    without a chain         x1 + x2 + x3 + x4 ~ sum + 2 carry                       16 rows x1 x2 x3 x4

x1 is the high digit of a row, as in the published tables. Without a chain four ones cannot be right: 4 has three bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from circuits.errors import DesignError, unknown_name
from circuits.support.documents import read_toml
from circuits.support.text import check_text, shorten

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
NO_COMPRESSOR = "none"
"""What stands for "full adders only" where a compressor is named."""


@dataclass(frozen=True, slots=True)
class Compressor:
    """A 4:2 compressor, as plain data.

    `sum`, `carry`: 16 characters 0/1 for rows x1 x2 x3 x4 = 0000..1111; with a carry chain 32 for rows x1 x2 x3 x4 Cin,
    and `cout` too. `source` says where the table was published. Raises DesignError when a field is malformed.
    """

    name: str
    sum: str
    carry: str
    cout: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name == NO_COMPRESSOR:
            raise DesignError(
                f"a compressor's name must be a letter followed by letters, digits, '_', '.' or '-' (at most 64), and "
                f"not {NO_COMPRESSOR!r}, but got {shorten(repr(self.name))}; rename it."
            )
        rows = 32 if self.cout else 16
        for field in ("sum", "carry", *(["cout"] if self.cout else [])):
            table = getattr(self, field)
            if not isinstance(table, str) or not re.fullmatch(f"[01]{{{rows}}}", table):
                inputs = "x1 x2 x3 x4 Cin" if self.cout else "x1 x2 x3 x4"
                raise DesignError(
                    f"{field} of compressor {self.name!r} must be {rows} characters 0 or 1 for rows {inputs}, "
                    f"but got {shorten(repr(table))}; correct it (16 rows without cout, 32 with it)."
                )
        if not isinstance(self.source, str):
            raise DesignError(f"source of compressor {self.name!r} must be text, but got {self.source!r}; quote it.")
        check_text(f"source of compressor {self.name!r}", self.source)

    @property
    def has_chain(self) -> bool:
        """Whether it has Cin and Cout."""
        return bool(self.cout)

    @property
    def inputs(self) -> int:
        """4, or 5 with a carry chain."""
        return 5 if self.cout else 4

    @property
    def tables(self) -> tuple[int, ...]:
        """Truth tables of sum, carry and, with a chain, Cout as integers; bit r is row r."""
        return tuple(int(table[::-1], 2) for table in (self.sum, self.carry, self.cout) if table)

    @property
    def errors(self) -> tuple[int, ...]:
        """For every row: sum + 2 (carry + Cout) minus the number of ones."""
        return tuple(
            sum(weight * (table >> row & 1) for weight, table in zip((1, 2, 2), self.tables, strict=False))
            - row.bit_count()
            for row in range(len(self.sum))
        )

    @property
    def is_exact(self) -> bool:
        """Whether it adds exactly; only one with a chain can."""
        return not any(self.errors)


def _equations(
    name: str,
    source: str,
    *,
    sum: Callable[..., int],
    carry: Callable[..., int],
    cout: Callable[..., int] | None = None,
) -> Compressor:
    """The compressor of functions of the bits x1, x2, x3, x4 (and Cin, where there is a Cout)."""
    inputs = 4 if cout is None else 5

    def rows(function: Callable[..., int] | None) -> str:
        if function is None:
            return ""
        digits = ([row >> inputs - 1 - k & 1 for k in range(inputs)] for row in range(1 << inputs))
        return "".join(str(function(*bits) & 1) for bits in digits)

    return Compressor(name, rows(sum), rows(carry), rows(cout), source)


def _majority(a: int, b: int, c: int) -> int:
    return a & b | a & c | b & c


_MOMENI = "Momeni, Han, Montuschi, Lombardi, IEEE Trans. Computers 64(4), 2015, design {}"
_AKBARI = "Akbari, Kamal, Afzali-Kusha, Pedram, IEEE TVLSI 25(4), 2017, DQ4:2C{}, approximate mode"
_YANG = "Yang, Han, Lombardi, DFTS 2015, ACCI{}"
_ZANANDREA = "Zanandrea, Meinhardt, 2023, CV{}; table second-hand"

_LIBRARY = (
    _equations(
        "exact",
        "two full adders in a row",
        sum=lambda a, b, c, d, e: a ^ b ^ c ^ d ^ e,
        carry=lambda a, b, c, d, e: _majority(a ^ b ^ c, d, e),
        cout=lambda a, b, c, d, e: _majority(a, b, c),
    ),
    _equations(
        "momeni1",
        _MOMENI.format(1),
        sum=lambda a, b, c, d, e: (1 ^ e) & ((1 ^ a ^ b) | (1 ^ c ^ d)),
        carry=lambda a, b, c, d, e: e,
        cout=lambda a, b, c, d, e: (a | b) & (c | d),
    ),
    _equations(
        "momeni2",
        _MOMENI.format(2),
        sum=lambda a, b, c, d: (1 ^ a ^ b) | (1 ^ c ^ d),
        carry=lambda a, b, c, d: (a | b) & (c | d),
    ),
    _equations(
        "lin",
        "Lin, Lin, ICCD 2013: exact but for 1111, which is 2",
        sum=lambda a, b, c, d: a ^ b ^ c ^ d,
        carry=lambda a, b, c, d: a & b | c & d | (a | b) & (c | d),
    ),
    _equations(
        "yang1",
        f"{_YANG.format(1)}: exact but for 1111, which is 3",
        sum=lambda a, b, c, d: a ^ b ^ c ^ d | a & b & c & d,
        carry=lambda a, b, c, d: a & b | c & d | (a | b) & (c | d),
    ),
    _equations(
        "yang2",
        _YANG.format(2),
        sum=lambda a, b, c, d: a ^ b ^ (c | d) | c & d,
        carry=lambda a, b, c, d: a & b | c & d | (a ^ b) & (c | d),
    ),
    _equations(
        "yang3",
        _YANG.format(3),
        sum=lambda a, b, c, d: a ^ b ^ (c | d),
        carry=lambda a, b, c, d: a & b | c & d | (a ^ b) & (c | d),
    ),
    _equations(
        "venkatachalam",
        "Venkatachalam, Ko, IEEE TVLSI 25(5), 2017",
        sum=lambda a, b, c, d: a ^ b | c ^ d | a & b & c & d,
        carry=lambda a, b, c, d: a & b | c & d,
    ),
    _equations("akbari1", _AKBARI.format(1), sum=lambda a, b, c, d: a, carry=lambda a, b, c, d: d),
    _equations(
        "akbari2",
        f"{_AKBARI.format(2)}: Cin is not used",
        sum=lambda a, b, c, d, e: a,
        carry=lambda a, b, c, d, e: d,
        cout=lambda a, b, c, d, e: c,
    ),
    _equations("akbari3", _AKBARI.format(3), sum=lambda a, b, c, d: a ^ b | c ^ d, carry=lambda a, b, c, d: d),
    _equations(
        "akbari4",
        _AKBARI.format(4),
        sum=lambda a, b, c, d: a ^ b | c ^ d,
        carry=lambda a, b, c, d: a & b | c & d,
    ),
    _equations(
        "ahmadinejad",
        "Ahmadinejad, Moaiyeri, Sabetzadeh, AEU 110, 2019",
        sum=lambda a, b, c, d: a | b | c | d,
        carry=lambda a, b, c, d: (a | b) & (c | d),
    ),
    _equations(
        "sabetzadeh",
        "Sabetzadeh, Moaiyeri, Ahmadinejad, IEEE TCAS-I 66(11), 2019; table second-hand",
        sum=lambda a, b, c, d: 1,
        carry=lambda a, b, c, d: _majority(a, c, d),
    ),
    _equations(
        "strollo",
        "Strollo, Napoli, De Caro, Petra, Di Meo, IEEE TCAS-I 67(9), 2020: a full adder of x1 + x2, x1 x2 + x3 and x4",
        sum=lambda a, b, c, d: (a | b) ^ (a & b | c) ^ d,
        carry=lambda a, b, c, d: _majority(a | b, a & b | c, d),
    ),
    _equations(
        "majority",
        "Moaiyeri et al., 2017, majority logic; table second-hand",
        sum=lambda a, b, c, d, e: _majority(a, b, 1 ^ _majority(c, d, 1 ^ e)),
        carry=lambda a, b, c, d, e: d,
        cout=lambda a, b, c, d, e: c,
    ),
    _equations("zanandrea1", _ZANANDREA.format(1), sum=lambda a, b, c, d: b, carry=lambda a, b, c, d: c | d),
    _equations("zanandrea2", _ZANANDREA.format(2), sum=lambda a, b, c, d: 1, carry=lambda a, b, c, d: d),
)

COMPRESSORS: Mapping[str, Compressor] = MappingProxyType({entry.name: entry for entry in _LIBRARY})
"""The compressor library by name."""


def compressor(name: str, extra: Mapping[str, Compressor] | None = None) -> Compressor:
    """The compressor of that name from the library or from `extra`; UnknownNameError names the nearest valid names."""
    known = {**COMPRESSORS, **(extra or {})}
    if name not in known:
        raise unknown_name("compressor", name, known)
    return known[name]


def compressors_from_table(table: Any, where: str) -> dict[str, Compressor]:
    """User compressors from a parsed TOML `[compressors]` table; `where` names the file in errors.

    Each entry is `[compressors.NAME]` with `sum` and `carry` of 16 rows, or with `cout` too and 32 rows, and optional
    `source`. The names of the library are reserved.
    """
    if not isinstance(table, dict):
        raise DesignError(
            f"[compressors] in {where} must hold [compressors.NAME] tables, but got {table!r}; correct it."
        )
    compressors: dict[str, Compressor] = {}
    for name, definition in table.items():
        line = f"[compressors.{name}] in {where}"
        if not isinstance(definition, dict) or not {"sum", "carry"} <= definition.keys():
            raise DesignError(f"{line} must have sum and carry, and cout with a carry chain; add the truth tables.")
        if unknown := sorted(definition.keys() - {"sum", "carry", "cout", "source"}):
            raise DesignError(
                f"the keys of {line} must be among carry, cout, source, sum, but got {unknown[0]!r}; remove it."
            )
        if name in COMPRESSORS:
            raise DesignError(f"{line} must not reuse the reserved name of a library compressor; choose another.")
        try:
            compressors[name] = Compressor(name, **definition)
        except DesignError as error:
            raise DesignError(f"{line}: {error}") from None
    return compressors


def load_compressors(path: str | Path) -> dict[str, Compressor]:
    """User compressors by name from a TOML file; raises DesignError naming the file. A file may have none."""
    return compressors_from_table(read_toml(path).get("compressors", {}), str(path))
