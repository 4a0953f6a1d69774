"""Files that are read only after verification, and written so that no half-written file is ever left behind.

Verified is the content: its size in bytes and its SHA-256, against values that a record (a JSON file) states. A tensor
file (safetensors) and its record have the same name, and the record is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from circuits.support import files
from circuits.support.documents import parse_json

__all__ = [
    "DataError",
    "read_record",
    "read_tensors_with_record",
    "read_verified_bytes",
    "read_verified_tensors",
    "record_field",
    "sha256",
    "tensor_bytes",
    "tensor_digest",
    "write_atomically",
    "write_record",
    "write_tensors_with_record",
]

MAX_RECORD_BYTES = 1 << 20
"""Largest JSON record read, in bytes."""


class DataError(ValueError):
    """A file of images, weights or examples is missing, truncated or altered; the message names it."""


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """`circuits.support.files.write_atomically`, after creating the folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, data)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON, atomically."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def read_record(path: Path, *, advice: str) -> dict[str, Any]:
    """The JSON object in `path`. Raises DataError, ending with `advice`, if it is missing or not a JSON object."""
    data = _read_bytes(path, MAX_RECORD_BYTES, advice=advice)
    try:
        record = parse_json(data, str(path), error=DataError)
    except DataError:
        record = None
    if not isinstance(record, dict):
        raise DataError(f"{path} does not hold a JSON object; {advice}.")
    return record


def record_field(record: Mapping[str, Any], name: str, kind: type, path: Path, *, advice: str) -> Any:
    """`record[name]`, verified to be a `kind`. Raises DataError naming the record's file `path` otherwise."""
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{path} must have a field {name!r} of type {kind.__name__}, but has {value!r}; {advice}.")
    return value


def read_verified_bytes(path: Path, *, size: int, digest: str, advice: str) -> bytes:
    """The content of `path`. Raises DataError, ending with `advice`, unless size (in bytes) and SHA-256 are right."""
    data = _read_bytes(path, size, advice=advice)
    if len(data) != size:
        raise DataError(f"{path} must have {size} bytes, but has {len(data)}; {advice}.")
    if sha256(data) != digest:
        raise DataError(f"{path} must have SHA-256 {digest}, but has {sha256(data)}; {advice}.")
    return data


def read_verified_tensors(path: Path, *, size: int, digest: str, advice: str) -> dict[str, torch.Tensor]:
    """The tensors of the safetensors file `path`, verified as by `read_verified_bytes`."""
    try:
        return load_safetensors(read_verified_bytes(path, size=size, digest=digest, advice=advice))
    except SafetensorError as error:
        raise DataError(f"{path} must be a safetensors file, but is not ({error}); {advice}.") from None


def write_tensors_with_record(
    path: Path, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the safetensors file `path` and then its record with the ending .json, both atomically.

    Returns the record written: `record` plus the file's name, size and SHA-256.
    """
    content = save_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    full_record = {**record, "file": path.name, "bytes": len(content), "sha256": sha256(content)}
    write_atomically(path, content)
    write_record(path.with_suffix(".json"), full_record)
    return full_record


def read_tensors_with_record(path: Path, *, advice: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(record, tensors) as written by `write_tensors_with_record`.

    Raises DataError, ending with `advice`, if either file is missing, truncated or altered.
    """
    record_path = path.with_suffix(".json")
    record = read_record(record_path, advice=advice)
    tensors = read_verified_tensors(
        path,
        size=record_field(record, "bytes", int, record_path, advice=advice),
        digest=record_field(record, "sha256", str, record_path, advice=advice),
        advice=advice,
    )
    return record, tensors


def tensor_digest(*tensors: torch.Tensor) -> str:
    """SHA-256 over the values of the tensors, in order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    """The values of a tensor of any dtype and layout in row-major order, in the machine's byte order."""
    dense = tensor.detach()
    dense = dense.to_dense() if dense.layout is not torch.strided else dense
    dense = dense.dequantize() if dense.is_quantized else dense
    return dense.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _read_bytes(path: Path, limit: int, *, advice: str) -> bytes:
    if not path.exists():
        raise DataError(f"{path} is missing; {advice}.")
    return files.read_bytes(path, limit=limit, error=DataError, advice=advice)
