"""A user's own network and images: `package.module:factory`, weights without pickled code, images in safetensors."""

from __future__ import annotations

import importlib
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from circuits.archives import open_archive
from circuits.files import open_file
from circuits.text import shorten
from cnn_eval.files import DataError

__all__ = ["check_model", "load_user_images", "load_user_model"]

MAX_FILE_BYTES = 8 << 30
"""Largest file of weights or images read, in bytes."""
_ENDINGS = (".safetensors", ".pt", ".pth")


def load_user_model(specification: str, weights: Path | str | None = None) -> nn.Module:
    """The network that `package.module:factory` makes, in evaluation mode on the CPU.

    `factory` is called without arguments, torch's generator seeded with 0. `weights`: a state_dict as safetensors, or
    as .pt or .pth that `torch.load(weights_only=True)` takes (no pickled code; a mapping with the key "state_dict"
    will do); None leaves the weights that the factory gives. Raises DataError (a ValueError) naming what does not fit.
    """
    module_name, _, factory_name = specification.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that the user's module needs
        raise DataError(
            f"the model must be package.module:factory of an importable module, but there is no module {error.name!r}; "
            "name it as in `import`, and run from its folder or install it."
        ) from None
    except (ValueError, TypeError):
        raise DataError(f"the model must be package.module:factory, but got {specification!r}; correct it.") from None
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise DataError(
            f"the model's factory must be a function or class, but {module_name} has no such {factory_name!r}; "
            "name one of its functions."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = factory()
    if not isinstance(model, nn.Module):
        raise DataError(
            f"the model's factory must return a torch module, but {specification} returned a {type(model).__name__}; "
            "correct the factory."
        )
    if weights is not None:
        _load_state(model, Path(weights))
    return model.to("cpu").eval()


def check_model(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Runs the first image through; DataError unless the network gives logits [1, classes] for it and all `labels`."""
    try:
        with torch.no_grad():
            out = model(images[:1])
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"the model must take images {list(images[:1].shape)}, but: {' '.join(str(error).split())}; "
            "choose images that fit the model."
        ) from None
    if not isinstance(out, torch.Tensor) or out.dim() != 2 or len(out) != 1:
        shape = list(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise DataError(f"the model must return logits [1, classes] for one image, but returned {shape}; adapt it.")
    if out.shape[1] <= int(labels.max()):
        raise DataError(
            f"the model must have a class for every label, but has {out.shape[1]} classes and labels up to "
            f"{int(labels.max())}; choose images that fit the model."
        )


def load_user_images(path: Path | str) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [N, C, H, W] as the network takes them, labels int64 [N]) from a safetensors file that holds
    `images` and `labels`. Raises DataError naming what is wrong."""
    tensors = _read(Path(path))
    if tensors.keys() != {"images", "labels"}:
        raise DataError(
            f"{path} must hold the tensors images and labels, but holds {', '.join(sorted(tensors)) or 'none'}; "
            "write it with safetensors.torch.save_file."
        )
    images, labels = tensors["images"], tensors["labels"]
    if images.dtype != torch.float32 or images.dim() != 4 or not images.numel():
        raise DataError(
            f"the images in {path} must be float32 [N, C, H, W], but are {images.dtype} {list(images.shape)}; convert."
        )
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1] or int(labels.min()) < 0:
        raise DataError(
            f"the labels in {path} must be {len(images)} classes from 0, int64, but are {labels.dtype} "
            f"{list(labels.shape)}; convert."
        )
    return images, labels


def _load_state(model: nn.Module, path: Path) -> None:
    state = _read(path)
    wanted = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    found = {key: list(tensor.shape) for key, tensor in state.items()}
    problems = [f"{key} is missing" for key in wanted.keys() - found.keys()]
    problems += [f"{key} is not the model's" for key in found.keys() - wanted.keys()]
    problems += [
        f"{key} is {found[key]} instead of {shape}" for key, shape in wanted.items() if found.get(key, shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"{path} must hold the model's tensors, but {', '.join(sorted(problems)[:3])}{more}; give its own weights."
        )
    model.load_state_dict(state)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix not in _ENDINGS:
        raise DataError(f"{path} must end in {', '.join(_ENDINGS)}, but does not; convert it.")
    with open_file(path, limit=MAX_FILE_BYTES, error=DataError) as stream:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_state(stream, path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)  # maps the file into memory, which needs its path
    except SafetensorError as error:
        raise DataError(
            f"{path} must be a safetensors file, but is not ({shorten(str(error), 200)}); write it again."
        ) from None


def _read_state(stream: BinaryIO, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that torch.save wrote: without pickled code, and no larger in memory than on disk."""
    _check_stored(stream, path)
    try:
        state = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # torch promises no type for what is damaged or refused
        reason = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        raise DataError(
            f"{path} must hold weights only, but torch.load(weights_only=True) refuses it ({reason}); "
            "save the model's state_dict(), or safetensors."
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError(f"{path} must hold a state_dict of tensors, but does not; save the model's state_dict().")
    return dict(state)


def _check_stored(stream: BinaryIO, path: Path) -> None:
    """DataError where an archive unpacks to more than its own size: torch.save never compresses."""
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
