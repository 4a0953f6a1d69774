"""Compiled passes over a netlist's arrays: values of nets as literals, simplification, lowering.

What a literal is and which invariants the analysis keeps: `circuits.netlists.simplification`. Imported inside the
functions that call it, since importing numba takes half a second.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_ABSENT = -1


@numba.njit(cache=True, nogil=True)
def reduced(table: int, operands: Any, nodes: Any) -> Any:
    """(table, number of operands left, inverted) of `table` over three operand literals; writes the nodes left.

    The same as `simplification.reduce_function`, whose contract it shares. Row r of a function of the distinct nodes
    n_0 < n_1 < n_2 gives node k the bit r >> (2 - k); the operands then have their bits, and these are a row of
    `table`.
    """
    count = 0
    for k in range(3):  # insertion into a sorted list of at most three distinct nodes
        node = operands[k] >> 1
        place = 0
        while place < count and nodes[place] < node:
            place += 1
        if node == 0 or (place < count and nodes[place] == node):
            continue
        for other in range(count, place, -1):
            nodes[other] = nodes[other - 1]
        nodes[place] = node
        count += 1
    composed = 0
    for row in range(8):
        original = 0
        for k in range(3):
            bit = operands[k] & 1
            for place in range(count):
                if nodes[place] == operands[k] >> 1:
                    bit ^= row >> (2 - place) & 1
            original |= bit << (2 - k)
        composed |= (table >> original & 1) << row
    left = 0
    weights = np.zeros(3, dtype=np.int64)
    for place in range(count):
        weight = 4 >> place
        depends = False
        for row in range(8):
            if not row & weight and (composed >> row & 1) != (composed >> (row | weight) & 1):
                depends = True
        if depends:
            nodes[left] = nodes[place]
            weights[left] = weight
            left += 1
    inverted = composed & 1
    result = 0
    for row in range(8):
        source = 0
        for k in range(left):
            if row & 4 >> k:
                source |= weights[k]
        result |= ((composed >> source & 1) ^ inverted) << row
    return result, left, inverted


@numba.njit(cache=True, nogil=True)
def analyse(tables: Any, kinds: Any, pins: Any, driven: Any, input_nets: Any, nets: int) -> Any:
    """(literals int32 [nets], tables uint8 [functions], operands int32 [functions, 3], -1 for none).

    Equal functions are found in a hash table of open addressing: `slots` holds the numbers of functions, and a new one
    takes the first free slot from the hash of (table, operands) on.
    """
    literals = np.full(nets, -1, dtype=np.int32)
    literals[0], literals[1] = 0, 1
    for position in range(len(input_nets)):
        literals[input_nets[position]] = 2 * (position + 1)
    inputs = len(input_nets)
    most = len(kinds) * driven.shape[1]
    functions = np.empty(most, dtype=np.uint8)
    operands = np.full((most, 3), _ABSENT, dtype=np.int32)
    size = 16
    while size < 2 * most:
        size *= 2
    slots = np.full(size, _ABSENT, dtype=np.int32)
    count = 0
    read = np.zeros(3, dtype=np.int64)
    nodes = np.zeros(3, dtype=np.int64)
    for n in range(len(kinds)):
        for pin in range(3):
            read[pin] = 0 if pins[n, pin] < 0 else literals[pins[n, pin]]
        for output in range(driven.shape[1]):
            net = driven[n, output]
            if net < 0:
                continue
            table, left, inverted = reduced(tables[kinds[n], output], read, nodes)
            if left == 0:
                literals[net] = inverted
                continue
            # f(a) with f(0) = 0 after normalisation depends on a, so that it is a itself: wires and inverters vanish.
            if left == 1:
                literals[net] = 2 * nodes[0] ^ inverted
                continue
            third = nodes[2] if left == 3 else _ABSENT
            # Odd constants spread neighbouring nodes over the slots; collisions only cost time.
            slot = (table * 0x9E3779B1 + nodes[0] * 0x85EBCA77 + nodes[1] * 0xC2B2AE3D + third * 0x27D4EB2F) & (
                size - 1
            )
            while True:
                known = slots[slot]
                if known < 0:
                    functions[count] = table
                    operands[count, 0], operands[count, 1], operands[count, 2] = nodes[0], nodes[1], third
                    known = slots[slot] = count
                    count += 1
                    break
                if (
                    functions[known] == table
                    and operands[known, 0] == nodes[0]
                    and operands[known, 1] == nodes[1]
                    and operands[known, 2] == third
                ):
                    break
                slot = (slot + 1) & (size - 1)
            literals[net] = 2 * (inputs + 1 + known) ^ inverted
    return literals, functions[:count].copy(), operands[:count].copy()


@numba.njit(cache=True, nogil=True)
def simplify(literals: Any, pins: Any, driven: Any, input_nets: Any, output_nets: Any) -> Any:
    """(which instances remain bool [n], the earliest net of equal value [nets], new numbers of nets [nets], nets).

    An instance remains where some output of it that is read is the earliest net of its value; readers come first, so
    that when an instance is reached, all that needs it is known.
    """
    nets = len(literals)
    most = 2
    for literal in literals:
        most = max(most, literal + 1)
    first = np.full(most, _ABSENT, dtype=np.int32)
    first[0], first[1] = 0, 1
    for net in input_nets:
        if first[literals[net]] < 0:
            first[literals[net]] = net
    for n in range(len(driven)):
        for net in driven[n]:
            if net >= 0 and first[literals[net]] < 0:
                first[literals[net]] = net
    representative = np.zeros(nets, dtype=np.int32)
    for net in range(nets):
        if literals[net] >= 0 and first[literals[net]] >= 0:
            representative[net] = first[literals[net]]
    live = np.zeros(nets, dtype=np.bool_)
    for net in output_nets:
        live[representative[net]] = True
    remains = np.zeros(len(driven), dtype=np.bool_)
    for n in range(len(driven) - 1, -1, -1):
        for net in driven[n]:
            if net >= 0 and representative[net] == net and live[net]:
                remains[n] = True
        if remains[n]:
            for net in pins[n]:
                if net >= 0:
                    live[representative[net]] = True
    number = np.zeros(nets, dtype=np.int32)
    number[1] = 1
    count = 2
    for net in input_nets:
        number[net] = count
        count += 1
    for n in range(len(driven)):
        if remains[n]:
            for net in driven[n]:
                if net >= 0:
                    number[net] = count
                    count += 1
    return remains, representative, number, count


@numba.njit(cache=True, nogil=True)
def lower(literals: Any, tables: Any, operands: Any, inputs: int, outputs: Any, driven: Any, places: Any) -> Any:
    """(tables uint8 [k], operands int32 [k, 3], places int32 [k, 2], results int32) of a LUT program.

    `literals`, `tables`, `operands`: of the analysis; `outputs`: the literals of the output bits; `driven`, `places`:
    of the instances. How inversions are absorbed: `lut_program.lower`.
    """
    nodes = inputs + 1 + len(tables)
    live = np.zeros(nodes, dtype=np.bool_)
    direct = np.zeros(nodes, dtype=np.bool_)
    inverted = np.zeros(nodes, dtype=np.bool_)
    for literal in outputs:
        live[literal >> 1] = True
        if literal & 1:
            inverted[literal >> 1] = True
        else:
            direct[literal >> 1] = True
    # A node that outputs read only inverted is computed inverted; inputs and the constant have no operation that could
    # absorb the inversion.
    for node in range(nodes):
        inverted[node] = inverted[node] and not direct[node] and node > inputs
    for node in range(nodes - 1, inputs, -1):  # operands come before their readers: one pass suffices
        if live[node]:
            for operand in operands[node - inputs - 1]:
                if operand >= 0:
                    live[operand] = True
    place = np.full((nodes, 2), -1, dtype=np.int32)
    for n in range(len(driven)):
        if places[n, 0] < 0:
            continue
        for net in driven[n]:
            node = literals[net] >> 1 if net >= 0 else 0
            if node and place[node, 0] < 0:  # the first instance that computes a node gives its place
                place[node] = places[n]
    most = len(tables) + len(outputs)
    out_tables = np.empty(most, dtype=np.uint8)
    out_operands = np.empty((most, 3), dtype=np.int32)
    out_places = np.full((most, 2), -1, dtype=np.int32)
    number = np.full(nodes, -1, dtype=np.int32)
    for node in range(1, inputs + 1):
        number[node] = node - 1
    count = 0
    for node in range(inputs + 1, nodes):
        if not live[node]:
            continue
        k = node - inputs - 1
        # Operands that are computed inverted are complemented back inside the table: row r becomes row r ^ mask.
        mask = 0
        for pin in range(3):
            operand = operands[k, pin]
            out_operands[count, pin] = number[operand] if operand >= 0 else number[operands[k, 0]]
            if operand >= 0 and inverted[operand]:
                mask |= 4 >> pin
        table = 0
        for row in range(8):
            table |= (tables[k] >> (row ^ mask) & 1) << row
        out_tables[count] = table ^ 0xFF if inverted[node] else table
        out_places[count] = place[node]
        number[node] = inputs + count
        count += 1
    # Outputs in the polarity in which their node is computed are that node; others take an inverter or a constant.
    results = np.empty(len(outputs), dtype=np.int32)
    extra = np.full(2 * nodes, -1, dtype=np.int32)
    for position in range(len(outputs)):
        literal = outputs[position]
        node = literal >> 1
        if node and (literal & 1 == 1) == inverted[node]:
            results[position] = number[node]
            continue
        if extra[literal] < 0:
            out_tables[count] = 0b00001111 if node else (0xFF if literal else 0x00)
            out_operands[count] = number[node] if node else 0
            extra[literal] = inputs + count
            count += 1
        results[position] = extra[literal]
    return out_tables[:count].copy(), out_operands[:count].copy(), out_places[:count].copy(), results
