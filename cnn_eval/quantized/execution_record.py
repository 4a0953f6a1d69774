"""Records one run of a network: which modules run, in which order, and which module alone reads another's output.

Batch normalisation can be folded into a layer only if nothing else reads the layer's output. The network's code may
hold any control flow, so the run itself is watched: every call of a module, and every function of torch that takes a
module's output as an argument.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from cnn_eval.models.inference import evaluation_mode

__all__ = ["Execution", "record_execution"]


@dataclass(frozen=True)
class Execution:
    """`calls`: module -> how often it ran, in the order of the first calls. `only_reader`: module -> the module whose
    only input its output is, if both run once and nothing else reads it."""

    calls: dict[nn.Module, int]
    only_reader: dict[nn.Module, nn.Module]


def record_execution(model: nn.Module, images: torch.Tensor) -> Execution:
    """Runs `model` on the first of `images` in evaluation mode and without gradients."""
    log = _Log()
    modules = [module for module in model.modules() if not list(module.children())]
    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(log.before).remove)
            stack.callback(module.register_forward_hook(log.after).remove)
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Reads(log))
        output = model(images[:1])
    returned = {id(value) for value in tree_leaves(output)}
    only_reader = {
        module: readers[0]
        for module, readers in log.readers.items()
        # The reader's own computation is the one function that takes the output.
        if len(readers) == 1
        and log.calls[module] == log.calls[readers[0]] == 1
        and log.reads[id(log.outputs[module])] == 1
        and id(log.outputs[module]) not in returned
    }
    return Execution(dict(log.calls), only_reader)


class _Log:
    """What has run so far. Outputs are kept, because an id identifies an object only while it lives."""

    def __init__(self) -> None:
        self.calls: Counter[nn.Module] = Counter()
        self.outputs: dict[nn.Module, torch.Tensor] = {}
        self.producers: dict[int, nn.Module] = {}
        self.readers: dict[nn.Module, list[nn.Module]] = {}
        self.reads: Counter[int] = Counter()

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.calls[module] += 1
        for value in inputs:
            if id(value) in self.producers:
                self.readers.setdefault(self.producers[id(value)], []).append(module)

    def after(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        # A module that works in place returns its input: the producer's output then has another reader.
        if isinstance(output, torch.Tensor) and id(output) not in self.producers:
            self.outputs[module] = output
            self.producers[id(output)] = module


class _Reads(TorchFunctionMode):
    """Counts the functions that take a module's output and return a tensor."""

    def __init__(self, log: _Log) -> None:
        super().__init__()
        self._log = log

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # Shapes, dtypes and the like are no values.
        if any(isinstance(value, torch.Tensor) for value in tree_leaves(result)):
            for value in tree_leaves((args, kwargs)):
                if isinstance(value, torch.Tensor) and id(value) in self._log.producers:
                    self._log.reads[id(value)] += 1
        return result
