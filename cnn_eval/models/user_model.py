"""A user's own network: made by `package.module:factory`, with weights from a file without pickled code."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from cnn_eval.data.image_checks import check_labels
from cnn_eval.models.inference import evaluation_mode
from cnn_eval.support.tensor_files import read_tensor_file
from cnn_eval.support.verified_files import DataError

__all__ = ["check_model", "load_user_model"]

_USER_ERRORS = (Exception, SystemExit)
"""What a user's code may raise; reported in one line, as every mistake of a user."""
_PACKAGE_FOLDER = Path(__file__).parent.parent


def load_user_model(specification: str, weights: Path | str | None = None) -> nn.Module:
    """The network that `package.module:factory` makes, in evaluation mode on the CPU.

    `factory` is called without arguments, with torch's generator seeded with 0. `weights` is a state_dict as
    safetensors, or as .pt or .pth that `torch.load(weights_only=True)` reads (no pickled code). Checkpoints that keep
    the state_dict under "state_dict", "model_state_dict", "model" or "net" are accepted, and so are names that all
    start with "module." or another prefix. Without `weights`, the factory's weights are used. Raises DataError (a
    ValueError) naming what does not fit.
    """
    factory = _import_factory(specification)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model = factory()
        except _USER_ERRORS as error:
            raise DataError(
                f"the model's factory must return a torch module, but {_describe_error(error)}; correct it."
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
        _load_weights(model, Path(weights))
    return model.to("cpu").eval()


def _import_factory(specification: str) -> Callable[[], object]:
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
    except _USER_ERRORS as error:
        raise DataError(
            f"the module {module_name} must be importable, but {_describe_error(error)}; correct it."
        ) from None
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise DataError(
            f"the model's factory must be a function or class, but {module_name} has no such {factory_name!r}; "
            "name one of its functions."
        )
    return factory  # type: ignore[no-any-return]


def _describe_error(error: BaseException) -> str:
    """What a user's code raised and where: at the last frame outside libraries and this package."""
    description = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"it raised {' '.join(description.split())}{where}"


def _is_library(path: str) -> bool:
    return path.startswith("<") or "site-packages" in path or Path(path).is_relative_to(_PACKAGE_FOLDER)


def check_model(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Runs the first image through the network and checks the result.

    Raises DataError unless the network returns finite float32 logits [1, classes] on the CPU for at least two classes,
    and has a class for each of the `labels`.
    """
    try:
        with evaluation_mode(model), torch.no_grad():
            out = model(images[:1])
    except _USER_ERRORS as error:
        raise DataError(_why_images_do_not_fit(model, images, error)) from None
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


def _why_images_do_not_fit(model: nn.Module, images: torch.Tensor, error: BaseException) -> str:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            return (
                f"the model must compute in float32, but {name} is {str(tensor.dtype)[6:]} and it fails on float32 "
                "images; return model.float() from the factory."
            )
    # torch raises RuntimeError for shapes that do not fit, and its message says which.
    reason = str(error) if isinstance(error, RuntimeError) else _describe_error(error)
    return (
        f"the model must take images {list(images[:1].shape)}, but: {' '.join(reason.split())}; choose images that fit "
        "the model."
    )


def _load_weights(model: nn.Module, path: Path) -> None:
    expected = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    state = _with_names_of_the_model(read_tensor_file(path), expected)
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    problems = [f"{key} is missing" for key in expected.keys() - shapes.keys()]
    problems += [f"{key} is not the model's" for key in shapes.keys() - expected.keys()]
    problems += [
        f"{key} is {shapes[key]} instead of {shape}"
        for key, shape in expected.items()
        if shapes.get(key, shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"{path} must hold the model's tensors, but {', '.join(sorted(problems)[:3])}{more}; give its own weights."
        )
    model.load_state_dict(state)


def _with_names_of_the_model(state: dict[str, torch.Tensor], expected: Iterable[str]) -> dict[str, torch.Tensor]:
    """Renames the tensors if all names differ from the model's by one prefix, on either side.

    Such prefixes are "module." of DataParallel, "_orig_mod." of torch.compile and "model." of Lightning.
    """
    names = list(expected)
    for key in state:
        for name in names[:1]:
            prefix = key.removesuffix(name)
            if prefix != key and {prefix + other for other in names} == state.keys():
                return {other.removeprefix(prefix): tensor for other, tensor in state.items()}
            prefix = name.removesuffix(key)
            if prefix != name and {prefix + other for other in state} == set(names):
                return {prefix + other: tensor for other, tensor in state.items()}
    return state
