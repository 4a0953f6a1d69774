"""One-bit ports are grouped into buses by their names."""

from __future__ import annotations

import pytest

from circuits.hdl.buses import group_ports


@pytest.mark.parametrize(
    ("ports", "buses"),
    [
        ("a[0] a[1] b[1] b[0]", {"a": "a[0] a[1]", "b": "b[0] b[1]"}),
        (r"\a[1] \a[0]", {"a": r"\a[0] \a[1]"}),
        ("a<0> a<1> b(0) b(1)", {"a": "a<0> a<1>", "b": "b(0) b(1)"}),
        ("x_1 x_0 y_0 y_1", {"x": "x_0 x_1", "y": "y_0 y_1"}),
        ("in1_0 in1_1 in2_0 in2_1", {"in1": "in1_0 in1_1", "in2": "in2_0 in2_1"}),
        ("a0 a1 b0 b1 cin", {"a": "a0 a1", "b": "b0 b1", "cin": "cin"}),
        ("x00 x01 x02", {"x": "x00 x01 x02"}),
        ("a1 a2 a3 a4", {"a": "a1 a2 a3 a4"}),
        ("a_0_ a_1_ b_0_", {"a": "a_0_ a_1_", "b_0_": "b_0_"}),
        ("sign[0]", {"sign": "sign[0]"}),
        ("clk0", {"clk0": "clk0"}),
        ("a0 a_1", {"a0": "a0", "a_1": "a_1"}),
        ("a a0 a1", {"a": "a", "a0": "a0", "a1": "a1"}),
        ("a_0 a_00 a_1", {"a_0": "a_0", "a_00": "a_00", "a_1": "a_1"}),
        ("1 2 3", {"1": "1", "2": "2", "3": "3"}),
        ("m[0][1] m[0][0]", {"m[0]": "m[0][0] m[0][1]"}),
        ("a10 a9 a8 a7 a6 a5 a4 a3 a2 a1 a0", {"a": "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10"}),
    ],
)  # fmt: skip
def test_bits_are_grouped_into_buses_by_their_names(ports: str, buses: dict[str, str]) -> None:
    grouping = group_ports(ports.split())
    assert {name: " ".join(bits) for name, bits in grouping.buses.items()} == buses
    assert grouping.notes == ()


def test_a_name_already_in_use_is_not_taken() -> None:
    assert list(group_ports(["p0", "p1"], taken=["p"]).buses) == ["p0", "p1"]


def test_gaps_and_a_lowest_index_above_0_are_noted() -> None:
    gap = group_ports(["a[0]", "a[2]"])
    assert list(gap.buses) == ["a[0]", "a[2]"]
    assert gap.notes == ("ports a[0] to a[2] form no bus, because index 1 is missing",)
    shifted = group_ports(["a[2]", "a[3]"])
    assert shifted.buses == {"a": ("a[2]", "a[3]")}
    assert shifted.notes == ("ports a[2] to a[3] form the bus a, and a[2] is its bit 0",)
