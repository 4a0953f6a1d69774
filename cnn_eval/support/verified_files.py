"""Files that are trusted only after their SHA-256 is checked, and writes that never leave half a file behind."""

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

MAX_RECORD_BYTES = 1 << 20
"""Largest JSON record read, in bytes."""


class DataError(ValueError):
    """A file of images, weights or examples is missing, truncated or altered; the message names it."""


def sha256(data: bytes) -> str:
    """SHA-256 of `data`, lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """`circuits.support.files.write_atomically`, the folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, data)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON, atomically."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def read_record(path: Path, *, advice: str) -> dict[str, Any]:
    """The JSON object in `path`. Raises DataError, ending with `advice`, when it is missing or no JSON object."""
    data = _read(path, MAX_RECORD_BYTES, advice=advice)
    try:
        record = parse_json(data, str(path), error=DataError)
    except DataError:
        record = None
    if not isinstance(record, dict):
        raise DataError(f"{path} must hold one JSON object, but does not; {advice}.")
    return record


def record_field(record: Mapping[str, Any], name: str, kind: type, path: Path, *, advice: str) -> Any:
    """`record[name]`, checked to be a `kind`. Raises DataError naming the record's file `path` otherwise."""
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{path} must have a field {name!r} of type {kind.__name__}, but has {value!r}; {advice}.")
    return value


def read_verified_bytes(path: Path, *, size: int, digest: str, advice: str) -> bytes:
    """The content of `path`, which must have `size` bytes and the SHA-256 `digest`; DataError with `advice` if not."""
    data = _read(path, size, advice=advice)
    if len(data) != size:
        raise DataError(f"{path} must have {size} bytes, but has {len(data)}; {advice}.")
    if sha256(data) != digest:
        raise DataError(f"{path} must have SHA-256 {digest}, but has {sha256(data)}; {advice}.")
    return data


def read_verified_tensors(path: Path, *, size: int, digest: str, advice: str) -> dict[str, torch.Tensor]:
    """The tensors of the safetensors file `path`, verified like `read_verified_bytes`."""
    try:
        return load_safetensors(read_verified_bytes(path, size=size, digest=digest, advice=advice))
    except SafetensorError as error:
        raise DataError(f"{path} must be a safetensors file, but is not ({error}); {advice}.") from None


def write_tensors_with_record(
    path: Path, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `path`, a safetensors file, and then its record beside it (.json), both atomically; returns the record:
    `record` with the file's name, size and SHA-256."""
    content = save_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    full = {**record, "file": path.name, "bytes": len(content), "sha256": sha256(content)}
    write_atomically(path, content)
    write_record(path.with_suffix(".json"), full)
    return full


def read_tensors_with_record(path: Path, *, advice: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(record, tensors) as `write_tensors_with_record` left them. Raises DataError, ending with `advice`, when either file is
    missing, truncated or altered."""
    where = path.with_suffix(".json")
    record = read_record(where, advice=advice)
    tensors = read_verified_tensors(
        path,
        size=record_field(record, "bytes", int, where, advice=advice),
        digest=record_field(record, "sha256", str, where, advice=advice),
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
    """The values of a tensor of any dtype and layout, in row-major order, as they lie in memory."""
    dense = tensor.detach()
    dense = dense.to_dense() if dense.layout is not torch.strided else dense
    dense = dense.dequantize() if dense.is_quantized else dense
    return dense.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _read(path: Path, limit: int, *, advice: str) -> bytes:
    if not path.exists():
        raise DataError(f"{path} must exist, but is missing; {advice}.")
    return files.read_bytes(path, limit=limit, error=DataError, advice=advice)
