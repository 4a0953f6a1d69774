"""The modules that compute matrix products on a device, and which one a circuit takes.

A new module is one file in this folder and one line in TABLES: `refusal(circuit, shared_bytes)` and `run(device,
circuit, operands, places)` as those have it. All give the same bits.
"""

from __future__ import annotations

from typing import Protocol

from circuits.engine.device import fraction_products, gate_products, table_products
from circuits.engine.device.gate_products import Operands
from circuits.engine.device.launching import Launches
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.errors import DesignError


class ProductModule(Protocol):
    """What computes matrix products on a device."""

    def run(self, device: Launches, circuit: MultiplierCircuit, operands: Operands, places: Places) -> None:
        """`gathering.gathered_matmul`; M, N and K are at least 1."""


TABLES = (table_products, fraction_products)
"""Those that look products up, the preferred one first."""


def table_module(circuit: MultiplierCircuit, shared_bytes: int) -> ProductModule | None:
    """The first of TABLES that serves the circuit; `shared_bytes`: of shared memory that a block can have."""
    return next((module for module in TABLES if not module.refusal(circuit, shared_bytes)), None)


def serving_module(circuit: MultiplierCircuit, method: str, shared_bytes: int) -> ProductModule:
    """ "gate": the gates; any other method: a table where one serves, else the gates. Raises DesignError."""
    table = None if method == "gate" else table_module(circuit, shared_bytes)
    reason = gate_products.refusal(circuit)
    if table is None and reason:
        raise DesignError(f"a CUDA device {reason}; compute on the CPU.")
    return table or gate_products
