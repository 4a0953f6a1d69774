"""Reads a user's tensors from safetensors files, or from files of torch.save without executing pickled code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from circuits.support.archives import open_archive
from circuits.support.files import open_file
from circuits.support.text import shorten
from cnn_eval.support.verified_files import DataError

__all__ = ["read_tensor_file"]

MAX_FILE_BYTES = 8 << 30
"""Largest file read, in bytes."""
_ENDINGS = (".safetensors", ".pt", ".pth")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which checkpoints keep the state_dict next to the optimiser's and others; the first that exists counts."""


def read_tensor_file(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a .safetensors, .pt or .pth file. Raises DataError for anything else and for damaged files."""
    if path.suffix not in _ENDINGS:
        raise DataError(f"{path} must end in {', '.join(_ENDINGS)}, but does not; convert it.")
    with open_file(path, limit=MAX_FILE_BYTES, error=DataError) as stream:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch_file(stream, path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)  # maps the file into memory, which needs its path
    except SafetensorError as error:
        raise DataError(
            f"{path} must be a safetensors file, but is not ({shorten(str(error), 200)}); write it again."
        ) from None


def _read_torch_file(stream: BinaryIO, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that torch.save wrote; executes no pickled code and needs no more memory than the file."""
    _check_uncompressed(stream, path)
    try:
        state = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # torch documents no type for damaged or refused files
        reason = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        raise DataError(
            f"{path} must hold weights only, but torch.load(weights_only=True) refuses it ({reason}); "
            "save the model's state_dict(), or safetensors."
        ) from None
    if isinstance(state, dict):
        state = next((state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError(f"{path} must hold a state_dict of tensors, but does not; save the model's state_dict().")
    return dict(state)


def _check_uncompressed(stream: BinaryIO, path: Path) -> None:
    """Raises DataError for an archive that unpacks to more than its own size: torch.save never compresses."""
    if not zipfile.is_zipfile(stream):
        return  # torch's older format, or nothing that torch reads
    with open_archive(stream, path, error=DataError) as archive:
        members = archive.infolist()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    unpacked = sum(member.file_size for member in members)
    if unpacked > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise DataError(
            f"{path} must hold its tensors uncompressed, as torch.save writes them, but has {size} bytes and unpacks "
            f"to {unpacked}; save the model's state_dict() again."
        )
