"""ZIP archives that users give (.npz, .pt), opened within bounds.

zipfile reads the whole central directory before any member, so its size is checked first. The directory's size stands
in the end record at the end of the file:

    "PK\x05\x06"  ...  size at byte 12 (4 bytes)            possibly followed by a comment of up to 65,535 bytes
    "PK\x06\x06"  ...  size at byte 40 (8 bytes)            ZIP64, followed by a locator and then the record above
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from circuits.errors import DesignError

MAX_DIRECTORY_BYTES = 8 << 20
"""Largest central directory of an archive, in bytes: room for more than 100,000 members."""
MAXIMUM_RATIO = 100
"""Largest ratio of compression of an array: constants reach 1000, operands of networks 10."""
UNCHECKED_BYTES = 1 << 26
"""Arrays up to this size may be compressed in any ratio."""
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _END_64_BYTES, _LOCATOR_64_BYTES = 22, 56, 20
_LONGEST_COMMENT = 65535


def open_archive(stream: BinaryIO, path: str | Path, *, error: type[ValueError] = DesignError) -> zipfile.ZipFile:
    """Opens the archive in `stream`, the content of the file `path`.

    Raises `error` where its directory is larger than MAX_DIRECTORY_BYTES, and zipfile.BadZipFile where `stream` is no
    archive.
    """
    size = _directory_size(stream)
    if size > MAX_DIRECTORY_BYTES:
        raise error(
            f"the directory of archive {path} must have at most {MAX_DIRECTORY_BYTES} bytes, but has {size}; "
            "make an archive of fewer members."
        )
    return zipfile.ZipFile(stream)


def read_array(
    archive: zipfile.ZipFile,
    name: str,
    path: str | Path,
    *,
    limit: int,
    advice: str,
    error: type[ValueError] = DesignError,
) -> NDArray[Any]:
    """The array `name` of an .npz archive, the content of `path`; nothing in it is executed.

    Sizes are checked before anything is unpacked, and the header before its memory is asked for. Raises `error`, ending
    with `advice` where the array is larger than `limit` bytes; ValueError or others for damaged arrays.
    """
    member = archive.getinfo(f"{name}.npy")
    size, packed = member.file_size, member.compress_size
    if size > limit:
        raise error(f"array {name} in {path} must have at most {limit} bytes, but has {size}; {advice}.")
    if size > UNCHECKED_BYTES and size > MAXIMUM_RATIO * packed:
        raise error(
            f"array {name} in {path} must unpack to at most {MAXIMUM_RATIO} times its size, but has {packed} bytes and "
            f"unpacks to {size}; save it with numpy.savez."
        )
    # numpy asks for the memory of what the header declares before it reads a value.
    with archive.open(member) as stream:
        read_header = np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(stream) != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if math.prod(shape) * dtype.itemsize > size:
        raise error(
            f"array {name} in {path} must hold the {math.prod(shape)} values that its header declares, but has {size} "
            "bytes; write it with numpy.savez."
        )
    with archive.open(member) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _directory_size(stream: BinaryIO) -> int:
    """The directory's size by the end record, the one of ZIP64 where there is one; 0 without an end record."""
    size = stream.seek(0, os.SEEK_END)
    longest = _LONGEST_COMMENT + _END_BYTES + _END_64_BYTES + _LOCATOR_64_BYTES
    stream.seek(max(0, size - longest))
    tail = stream.read(longest)
    stream.seek(0)
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        return 0
    locator, end_64 = end - _LOCATOR_64_BYTES, end - _LOCATOR_64_BYTES - _END_64_BYTES
    if end_64 >= 0 and tail.startswith(_LOCATOR_64, locator) and tail.startswith(_END_64, end_64):
        return int(struct.unpack_from("<Q", tail, end_64 + 40)[0])
    return int(struct.unpack_from("<L", tail, end + 12)[0])
