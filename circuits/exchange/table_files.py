"""Product tables in the formats of the field's tools.

    lut-npy   NumPy array [2**w, 2**v], indexed by bit patterns
    lut-bin   little-endian words of 16 bits, first operand major, indexed by bit patterns (TFApprox); 8 x 8 bits
    lut-text  a line for each first operand, operands in ascending order, -128 .. 127 or 0 .. 255 (ApproxTorch)
    lut-c     C header with one array [2**w][2**v], indexed by bit patterns (AdaPT, TransAxx)

Reading tells the format by the ending of the file's name: .npy, .bin, .txt, .h.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.errors import DesignError, unknown_name
from circuits.support.files import decode, read_bytes

Table = NDArray[Any]
MAXIMUM_BYTES = 32 * 1024 * 1024
_BIN_WIDTH = 8


class TableFormat(NamedTuple):
    """`suffixes`: endings of the file's name; `write(table, signed)` and `read(content, where, signed)`.

    Tables are integers [2**w, 2**v] indexed by bit patterns. `signed` is None in `read` where the user says nothing.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Table, bool], bytes]
    read: Callable[[bytes, str, bool | None], Table]


def read_table(path: Path, *, signed: bool | None = None) -> Table:
    """The table in the file, indexed by bit patterns. Raises DesignError for other files and for damaged ones."""
    for table_format in TABLE_FORMATS.values():
        if path.suffix.lower() in table_format.suffixes:
            content = read_bytes(path, limit=MAXIMUM_BYTES, what="a product table")
            return table_format.read(content, str(path), signed)
    raise unknown_name("ending of a table's file", path.suffix, TABLE_SUFFIXES)


def write_table(table: Table, name: str, *, signed: bool) -> bytes:
    """The file's content in the format `name` (a key of TABLE_FORMATS)."""
    if name not in TABLE_FORMATS:
        raise unknown_name("table format", name, TABLE_FORMATS)
    return TABLE_FORMATS[name].write(table, signed)


def _write_npy(table: Table, signed: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, table.astype(_smallest(table, signed)), allow_pickle=False)
    return stream.getvalue()


def _read_npy(content: bytes, where: str, signed: bool | None) -> Table:
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise DesignError(f"{where} must be a NumPy array file, but: {_first_line(error)}; write it again.") from None
    if not isinstance(table, np.ndarray):
        raise DesignError(f"{where} must be a NumPy array file (.npy), but is an archive; save the one array.")
    return table


def _write_bin(table: Table, signed: bool) -> bytes:
    if table.shape != (1 << _BIN_WIDTH, 1 << _BIN_WIDTH):
        raise DesignError(f"lut-bin holds 8 x 8 bits, but the table is {_bits(table)}; choose lut-npy.")
    limits = np.iinfo(np.int16 if signed else np.uint16)
    if table.min() < limits.min or table.max() > limits.max:
        raise DesignError(
            f"lut-bin holds products of 16 bits, but the table's lie in {table.min()} .. {table.max()}; choose lut-npy."
        )
    return table.astype("<i2" if signed else "<u2").tobytes()


def _read_bin(content: bytes, where: str, signed: bool | None) -> Table:
    expected = 2 << 2 * _BIN_WIDTH
    if len(content) != expected:
        raise DesignError(
            f"{where} must have {expected} bytes, 256 x 256 words of 16 bits, but has {len(content)}; for other widths "
            "give a .npy file."
        )
    return np.frombuffer(content, "<i2" if signed else "<u2").reshape(1 << _BIN_WIDTH, -1)


def _write_text(table: Table, signed: bool) -> bytes:
    rows = _by_value(table) if signed else table
    return "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist()).encode()


def _read_text(content: bytes, where: str, signed: bool | None) -> Table:
    rows = []
    for number, line in enumerate(decode(content, where, what="a product table").splitlines(), 1):
        words = re.split(r"[\s,;]+", line.strip())
        if words == [""]:
            continue
        try:
            rows.append([int(word) for word in words if word])
        except ValueError:
            raise DesignError(f"{where} must hold integers, but line {number} does not; correct it.") from None
        if len(rows[-1]) != len(rows[0]):
            raise DesignError(
                f"every line of {where} must have {len(rows[0])} numbers as the first, but line {number} has "
                f"{len(rows[-1])}; correct it."
            )
    table = np.array(rows or [[]], dtype=object)
    if not rows or max(abs(value) for value in table.flat) >= 1 << 40:
        raise DesignError(f"{where} must hold products of small integers, one line a first operand; check the file.")
    table = table.astype(np.int64)
    negative = bool((table < 0).any()) if signed is None else signed
    return _by_value(table) if negative else table


def _write_c(table: Table, signed: bool) -> bytes:
    dtype = np.dtype(_smallest(table, signed))
    rows = ",\n".join("    {" + ", ".join(map(str, row)) + "}" for row in table.tolist())
    declaration = f"const {dtype.name}_t lut[{table.shape[0]}][{table.shape[1]}]"
    return f"#include <stdint.h>\n\n{declaration} = {{\n{rows}\n}};\n".encode()


def _read_c(content: bytes, where: str, signed: bool | None) -> Table:
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", decode(content, where, what="a C header"), flags=re.DOTALL)
    match = re.search(r"\[\s*(\d{1,5})\s*\]\s*\[\s*(\d{1,5})\s*\]\s*=\s*\{([^;]*)\}\s*;", text)
    if match is None:
        raise DesignError(f"{where} must define one array NAME[ROWS][COLUMNS] = {{...}}; but does not; check the file.")
    rows, columns = int(match[1]), int(match[2])
    words = re.findall(r"[^\s,{}]+", match[3])
    if not all(re.fullmatch(r"[+-]?\d{1,12}", word) for word in words) or len(words) != rows * columns:
        raise DesignError(
            f"the array in {where} must hold {rows} x {columns} integers, but holds {len(words)} entries or others; "
            "correct it."
        )
    return np.array(list(map(int, words)), dtype=np.int64).reshape(rows, columns)


TABLE_FORMATS: Mapping[str, TableFormat] = MappingProxyType(
    {
        "lut-npy": TableFormat((".npy",), _write_npy, _read_npy),
        "lut-bin": TableFormat((".bin",), _write_bin, _read_bin),
        "lut-text": TableFormat((".txt",), _write_text, _read_text),
        "lut-c": TableFormat((".h",), _write_c, _read_c),
    }
)
"""Name -> how it is written and read. A new format is one line here."""
TABLE_SUFFIXES = tuple(suffix for table_format in TABLE_FORMATS.values() for suffix in table_format.suffixes)


def _by_value(table: Table) -> Table:
    """From bit patterns to ascending signed operands, or back: the halves of both axes change places."""
    return np.roll(table, (table.shape[0] // 2, table.shape[1] // 2), axis=(0, 1))


def _smallest(table: Table, signed: bool) -> Any:
    kinds = (np.int16, np.int32, np.int64) if signed else (np.uint16, np.uint32, np.uint64)
    return next(kind for kind in kinds if table.min() >= np.iinfo(kind).min and table.max() <= np.iinfo(kind).max)


def _bits(table: Table) -> str:
    return " x ".join(str(int(size).bit_length() - 1) for size in table.shape) + " bits"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
