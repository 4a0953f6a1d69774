"""The idx format of MNIST: arrays of unsigned bytes.

Layout: two zero bytes, the type (8 = unsigned byte), the number of dimensions, the size of each dimension as a
big-endian 32-bit integer, then the values in row-major order. Source: Y. LeCun, C. Cortes, C. J. C. Burges, the MNIST
database of handwritten digits.
"""

from __future__ import annotations

import math

import numpy as np

from cnn_eval.data.dataset_record import REINSTALL, UInt8
from cnn_eval.support.verified_files import DataError

__all__ = ["decode_idx", "encode_idx"]


def decode_idx(data: bytes) -> UInt8:
    """The array in an idx file of unsigned bytes. Raises DataError when the header does not match the length."""
    dimensions = data[3] if len(data) >= 4 and data[:3] == b"\0\0\x08" else 0
    shape = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1)]
    header_bytes = 4 + 4 * dimensions
    if not dimensions or len(data) != header_bytes + math.prod(shape):
        raise DataError(
            f"an idx file of bytes must have the length that its header says, but has {len(data)} bytes and header "
            f"{data[:4].hex()} {shape}; {REINSTALL}."
        )
    return np.frombuffer(data, np.uint8, offset=header_bytes).reshape(shape)


def encode_idx(array: UInt8) -> bytes:
    """The idx file that holds `array`."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + np.ascontiguousarray(array).tobytes()
