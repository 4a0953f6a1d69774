"""A user's own network and images: `package.module:factory`, weights without pickled code, images in safetensors."""

from __future__ import annotations

import importlib
import os
import traceback
import zipfile
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from circuits.support.archives import open_archive
from circuits.support.files import open_file
from circuits.support.text import shorten
from cnn_eval.data.image_checks import check_images, check_labels, describe_tensor
from cnn_eval.models.inference import evaluation_mode
from cnn_eval.support.verified_files import DataError

__all__ = ["check_model", "load_user_images", "load_user_model"]

MAX_FILE_BYTES = 8 << 30
"""Largest file of weights or images read, in bytes."""
_ANY = (Exception, SystemExit)
"""What a user's code may raise: told in one line, as every mistake of a user."""
_HERE = Path(__file__).parent
_ENDINGS = (".safetensors", ".pt", ".pth")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Under which keys checkpoints hold the state_dict, beside the optimiser's and others; the first that is there."""


def load_user_model(specification: str, weights: Path | str | None = None) -> nn.Module:
    """The network that `package.module:factory` makes, in evaluation mode on the CPU.

    `factory` is called without arguments, torch's generator seeded with 0. `weights`: a state_dict as safetensors, or
    as .pt or .pth that `torch.load(weights_only=True)` takes (no pickled code; checkpoints that hold it as
    "state_dict", "model_state_dict", "model" or "net" will do, and names that all begin with "module." or another
    prefix); None leaves the weights that the factory gives. Raises DataError (a ValueError) naming what does not fit.
    """
    factory = _factory(specification)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model = factory()
        except _ANY as error:
            raise DataError(
                f"the model's factory must return a torch module, but {_told(error)}; correct it."
            ) from None
    if not isinstance(model, nn.Module):
        raise DataError(
            f"the model's factory must return a torch module, but {specification} returned a {type(model).__name__}; "
            "correct the factory."
        )
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)) or tensor.is_meta:
            raise DataError(
                f"the model's parameters must have values, but {name} has none yet; run an image through lazy layers "
                "in the factory, and make no layer on the device meta."
            )
    if weights is not None:
        _load_state(model, Path(weights))
    return model.to("cpu").eval()


def _factory(specification: str) -> Callable[[], object]:
    module_name, _, factory_name = specification.partition(":")
    if not all(name.isidentifier() for name in (*module_name.split("."), factory_name)):
        raise DataError(f"the model must be package.module:factory, but got {specification!r}; correct it.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that the user's module needs
        raise DataError(
            f"the model must be package.module:factory of an importable module, but there is no module {error.name!r}; "
            "name it as in `import`, and run from its folder or install it."
        ) from None
    except ImportError:
        raise
    except _ANY as error:
        raise DataError(f"the module {module_name} must be importable, but {_told(error)}; correct it.") from None
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise DataError(
            f"the model's factory must be a function or class, but {module_name} has no such {factory_name!r}; "
            "name one of its functions."
        )
    return factory  # type: ignore[no-any-return]


def _told(error: BaseException) -> str:
    """What a user's code raised, and where in it: at the last frame that is not a library's."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"it raised {' '.join(said.split())}{where}"


def _is_library(path: str) -> bool:
    return path.startswith("<") or "site-packages" in path or Path(path).is_relative_to(_HERE)


def check_model(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Runs the first image through; DataError unless the network gives for it finite float32 logits [1, classes] of two
    classes or more, on the CPU, and has a class for all `labels`."""
    try:
        with evaluation_mode(model), torch.no_grad():
            out = model(images[:1])
    except _ANY as error:
        raise DataError(_refusal(model, images, error)) from None
    if not isinstance(out, torch.Tensor) or out.dim() != 2 or len(out) != 1:
        shape = list(out.shape) if isinstance(out, torch.Tensor) else f"a {type(out).__name__}"
        raise DataError(f"the model must return logits [1, classes] for one image, but returned {shape}; adapt it.")
    if out.dtype != torch.float32 or not out.is_cpu:
        raise DataError(
            f"the model must return float32 logits on the CPU, but returned {str(out.dtype)[6:]} on {out.device}; "
            "return logits.float().cpu()."
        )
    if out.shape[1] < 2:
        raise DataError(
            f"the model must have a logit for each of two classes or more, but has {out.shape[1]}; where one logit is "
            "that of the second of two classes, return (-logit, logit)."
        )
    if not bool(out.isfinite().all()):
        raise DataError("the model must return finite logits, but returned nan or inf for image 0; check its weights.")
    try:
        check_labels(labels, len(images), classes=out.shape[1])
    except ValueError as error:
        raise DataError(str(error)) from None


def _refusal(model: nn.Module, images: torch.Tensor, error: BaseException) -> str:
    """Why the model does not take the images."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            return (
                f"the model must compute in float32, but {name} is {str(tensor.dtype)[6:]} and it fails on float32 "
                "images; return model.float() from the factory."
            )
    said = str(error) if isinstance(error, RuntimeError) else _told(error)  # torch's speak of shapes
    return (
        f"the model must take images {list(images[:1].shape)}, but: {' '.join(said.split())}; choose images that fit "
        "the model."
    )


def load_user_images(path: Path | str, *, unit: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [N, C, H, W] as the network takes them, labels int64 [N]) from a safetensors file that holds
    `images` and `labels`. Pixels must be finite, and lie in [0, 1] where `unit` is true, as attacks need. Raises
    DataError naming what is wrong, and the first image where it is an image."""
    tensors = _read(Path(path))
    if tensors.keys() != {"images", "labels"}:
        raise DataError(
            f"{path} must hold the tensors images and labels, but holds {', '.join(sorted(tensors)) or 'none'}; "
            "write it with safetensors.torch.save_file."
        )
    images, labels = tensors["images"], tensors["labels"]
    try:
        check_images(images, unit=unit)
        check_labels(labels, len(images))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if not images.numel():
        raise DataError(f"{path}: there must be an image, but images are {describe_tensor(images)}; give some.")
    return images, labels


def _load_state(model: nn.Module, path: Path) -> None:
    wanted = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    state = _renamed(_read(path), wanted)
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


def _renamed(state: dict[str, torch.Tensor], wanted: Iterable[str]) -> dict[str, torch.Tensor]:
    """The tensors under the names of the model, where all names differ by one prefix: "module." of DataParallel,
    "_orig_mod." of torch.compile, "model." of Lightning, on either side."""
    names = list(wanted)
    for key in state:
        for name in names[:1]:
            prefix = key.removesuffix(name)
            if prefix != key and {prefix + other for other in names} == state.keys():
                return {other.removeprefix(prefix): tensor for other, tensor in state.items()}
            prefix = name.removesuffix(key)
            if prefix != name and {prefix + other for other in state} == set(names):
                return {prefix + other: tensor for other, tensor in state.items()}
    return state


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
    if isinstance(state, dict):
        state = next((state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)), state)
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
