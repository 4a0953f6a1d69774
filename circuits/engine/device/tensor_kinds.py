"""NumPy arrays and torch's CUDA tensors alike: the few things that matrix products ask of either.

Whoever made the tensors has imported torch; nothing here does.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def on_cuda(values: Any) -> bool:
    """Whether `values` is a CUDA tensor of torch."""
    return bool(getattr(values, "is_cuda", False))


def contiguous(values: Any, dtype: Any = None) -> Any:
    """The C-contiguous array or tensor with the same values, of that dtype (a NumPy one) or its own."""
    if on_cuda(values):
        tensor = values.detach().to(values.dtype if dtype is None else _torch_dtype(dtype)).contiguous()
        # A view with the negative bit set has memory of the opposite sign.
        return tensor.resolve_neg() if tensor.is_neg() else tensor
    return np.ascontiguousarray(values, dtype=dtype)


def filled(like: Any, shape: tuple[int, ...], dtype: Any = None, value: int = 0) -> Any:
    """An array or a tensor where `like` is, filled with a value, of that dtype (a NumPy one) or that of `like`."""
    if on_cuda(like):
        return like.new_full(shape, value, dtype=like.dtype if dtype is None else _torch_dtype(dtype))
    kind = like.dtype if dtype is None else dtype
    return np.full(shape, value, dtype=kind) if value else np.zeros(shape, dtype=kind)


def empty(like: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised array or tensor where `like` is, of that dtype (a NumPy one)."""
    return like.new_empty(shape, dtype=_torch_dtype(dtype)) if on_cuda(like) else np.empty(shape, dtype=dtype)


def _torch_dtype(dtype: Any) -> Any:
    return getattr(sys.modules["torch"], np.dtype(dtype).name)
