"""Matrix products of torch's CUDA tensors. Whoever made the tensors has imported torch; nothing here does."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.device.cuda_driver import find_device
from circuits.engine.device.gate_products import Operands
from circuits.engine.device.kernels.thread_code import Kernel
from circuits.engine.device.product_modules import serving_module
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.errors import DesignError

Tensor = Any
"""A torch.Tensor."""


class TensorMemory:
    """Memory from torch's allocator, which reuses it in the order of the stream."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def address(self) -> int:
        """The tensor's address."""
        return int(self.tensor.data_ptr())


class CudaLaunches:
    """Launches on the device of a tensor and torch's current stream there."""

    def __init__(self, like: Tensor) -> None:
        self._torch: Any = sys.modules["torch"]
        self._device = like.device
        self._cuda = find_device(like.device.index)
        self._stream = self._torch.cuda.current_stream(like.device).cuda_stream

    @property
    def key(self) -> Hashable:
        return "cuda", self._device.index

    @property
    def multiprocessors(self) -> int:
        return self._cuda.multiprocessors

    @property
    def shared_bytes(self) -> int:
        return self._cuda.shared_bytes

    def empty(self, size: int) -> TensorMemory:
        try:
            return TensorMemory(self._torch.empty(size, dtype=self._torch.uint8, device=self._device))
        except self._torch.cuda.OutOfMemoryError:
            raise DesignError(
                f"the device's memory must hold {size / 1e6:.0f} MB more for the planes of operands, but is too small; "
                "take smaller batches."
            ) from None

    def copied(self, array: NDArray[Any]) -> TensorMemory:
        words = np.array(array.reshape(-1).view(np.uint8))  # torch warns of arrays that cannot be written
        return TensorMemory(self._torch.from_numpy(words).to(self._device))

    def launch(self, kernel: Kernel, arguments: Sequence[int], blocks: int, groups: int) -> None:
        self._cuda.launch(kernel, arguments, blocks, groups, self._stream)


def gathered_matmul(circuit: MultiplierCircuit, x: Tensor, w: Tensor, out: Tensor, places: Places, method: str) -> None:
    """`gathering.gathered_matmul` for contiguous tensors on one CUDA device; M, N and K are at least 1.

    Bit identical to the processor's results. `method`: "gate" for the gates; any other name, since those are of ways of
    the processor, for a table where one serves, else the gates. Raises DesignError for circuits that neither serves.
    """
    device = CudaLaunches(x)
    if not x.device == w.device == out.device:
        raise DesignError(
            f"operands must be on one device, but are on {x.device}, {w.device} and {out.device}; move them."
        )
    module = serving_module(circuit, method, device.shared_bytes)
    operands = Operands(
        x.data_ptr(), x.numel(), w.data_ptr(), w.numel(), out.data_ptr(), 8 * max(4, out.element_size())
    )
    module.run(device, circuit, operands, places)
