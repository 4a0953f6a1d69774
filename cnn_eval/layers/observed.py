"""Observes a network while it runs: which functions sum products outside its layers, and which of its modules run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from cnn_eval.models.inference import evaluation_mode

__all__ = ["Observation", "observe"]

_PRODUCTS = frozenset(
    {
        *("mm", "bmm", "addmm", "addbmm", "baddbmm", "_addmm_activation", "_int_mm"),
        *("mv", "addmv", "dot", "vdot", "ger", "addr", "_trilinear"),
        *("convolution", "convolution_overrideable", "_convolution", "mkldnn_convolution", "mkldnn_linear"),
        *("mkldnn_rnn_layer", "_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
    }
)
"""Names in torch's dispatcher of the kernels that sum products, except the fused kernels of attention."""
_FUSED_ATTENTION = "_scaled_dot_product"


@dataclass(frozen=True)
class Observation:
    """`functions`: module name -> functions, as the network's code calls them, by which the module's own forward sums
    products; the network itself has the name "". `called`: names of the modules that ran."""

    functions: Mapping[str, Collection[str]]
    called: Collection[str]


def observe(model: nn.Module, images: torch.Tensor) -> Observation:
    """Runs `model` on the first of `images` in evaluation mode and without gradients.

    Elementwise products are ignored, even if they are then summed, and so are products outside torch.
    """
    log = _Log()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(module.register_forward_pre_hook(log.entering(name)).remove)
            stack.callback(module.register_forward_hook(log.leaving, always_call=True).remove)
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Functions(log))
        stack.enter_context(_Kernels(log))
        model(images[:1])
    return Observation({name: tuple(functions) for name, functions in log.functions.items()}, log.called)


class _Log:
    """The stacks of running modules and functions, and the observations so far."""

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, None]] = {}  # as ordered sets
        self.called: set[str] = set()
        self._modules: list[str] = []
        self._calls: list[str] = []

    def entering(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self._modules.append(name)
            self.called.add(name)

        return hook

    def leaving(self, *_: Any) -> None:
        self._modules.pop()

    @contextmanager
    def calling(self, function: str) -> Iterator[None]:
        self._calls.append(function)
        yield
        self._calls.pop()

    def product(self, kernel: str) -> None:
        # The innermost module is the one whose own forward is running; the outermost function is what its author
        # wrote.
        module = self._modules[-1] if self._modules else ""
        self.functions.setdefault(module, {})[self._calls[0] if self._calls else kernel] = None


class _Functions(TorchFunctionMode):
    """Tracks the outermost function of torch that is running."""

    def __init__(self, log: _Log) -> None:
        super().__init__()
        self._log = log

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self._log.calling(_name(func)):
            return func(*args, **(kwargs or {}))


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Intercepts every kernel, however it was reached."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch spends seconds on loading torch.compile, only to keep it away from this mode.
        return False

    def __init__(self, log: _Log) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kernel = func.overloadpacket.__name__
        if kernel in _PRODUCTS or kernel.startswith(_FUSED_ATTENTION):
            self._log.product(kernel)
        return func(*args, **(kwargs or {}))


def _name(function: Any) -> str:
    """The function's name as network code writes it."""
    name = resolve_name(function) or str(getattr(function, "__name__", function))
    return name.replace("torch.nn.functional.", "functional.").replace("torch.functional.", "torch.")
