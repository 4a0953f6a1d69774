"""Golden costs: numbers that no change of the kernels may change.

Every value is what the cost model gave when this test was written. They follow from the characterised table
`cells45.json`, so a new characterisation must renew them. The tolerance covers linear algebra on different machines.
"""

from __future__ import annotations

import pytest

from circuits import Design, UnknownNameError, cost_report, design, technology
from circuits.cost import circuit_of, circuit_true_timing
from circuits.cost.cost_model import LEFT_OUT

AXA3_LOW = {"columns": ["axa3"] * 7 + ["exact"] * 7}
DESIGNS = {
    "ripple ama1": Design(format=None, width=8, placement="ama1"),
    "carry-save axa3": Design(format=None, width=(5, 9), topology="carry_save_array", placement=AXA3_LOW),
    "wallace ama1": Design(format=None, width=8, topology="wallace", placement="ama1"),
    "dadda ama1": Design(format=None, width=8, topology="dadda", placement="ama1"),
    "booth ama4": Design(format=None, width=8, topology="booth", signed=True, placement="ama4"),
    "heap": design("heap"),
    "axfpm": design("axfpm"),
    "bfloat16": design("bfloat16"),
}
REPORTS = {
    "ripple ama1": (
        (1504, 291.536, 846.2426093335141, 5404.307999999999),
        (184.07265895539356, 171.95611935812397, 240.42822663065877, 233.6030013157631),
        (804.3060663719524, 0.5071900511386335, 0.32077947342294955),
    ),
    "carry-save axa3": (
        (1062, 268.12800000000004, 641.3218720446508, 5413.077),
        (184.22256251233665, 170.49725663650685, 283.7597534349685, 251.19946140985138),
        (598.4111633798952, 0.7737751164151114, 0.6466956529301466),
    ),
    "wallace ama1": (
        (1868, 364.154, 644.9641128423182, 7044.730749999999),
        (204.19207427870256, 143.72104032481192, 177.35832955050316, 125.17013529301117),
        (492.2213140622584, 0.5626266778740648, 0.23663158173096768),
    ),
    "dadda ama1": (
        (1560, 302.708, 639.161982414273, 5799.951499999999),
        (231.03001119467592, 200.17519107462567, 224.65751847059076, 199.04196800481492),
        (638.5450917720148, 0.636575382011416, 0.2997381858420822),
    ),
    "booth ama4": (
        (1737, 322.39200000000005, 799.3740948206688, 5217.6535),
        (294.13440156064587, 249.5677411679754, 525.8151839149095, 442.4010410127692),
        (796.8490297313753, 0.7780710625663033, 0.7757235990486339),
    ),
    "heap": (
        (14842, 2847.264, 2152.0948386408413, 52955.081499999986),
        (2484.0487655599336, 2421.84901118852, 2498.526386076485, 2438.1845517165566),
        (2125.06815034731, 0.614010845572994, 0.1937346874670149),
    ),
    "axfpm": (
        (7872, 1347.0240000000001, 344.39174737517595, 12861.096000000001),
        (1039.1545807800394, 43.1279817549714, 860.5484579442906, 32.71388639022979),
        (21.6, 0.2568597652638988, 0.06672656629889007),
    ),
    "bfloat16": (
        (2170, 404.85200000000003, 807.1396996429152, 7702.252250000001),
        (486.9179491651587, 486.53792389841493, 790.5210195216445, 794.8254133502287),
        (807.1396996429152, 1.2681140690647572, 1.0278891592661168),
    ),
}
"""Design -> (transistors, area, delay, leakage), energies (zero delay: drawn, simplified; event-driven: the same), and
(simplified delay, energy ratio at zero delay, energy ratio event-driven)."""
TRUE_PATHS = {
    "ripple ama1": (
        (781.5532461698215, 776.0692385746447, (253, 255), (253, 171)),
        (781.5532461698215, 846.2426093335141),
    ),
    "wallace ama1": (
        (483.61718091314214, 377.2217055877999, (237, 183), (255, 255)),
        (466.52062352962946, 511.13149585780167),
    ),
    "dadda ama1": (
        (621.1079331854703, 617.6896595953422, (254, 191), (255, 255)),
        (621.1079331854703, 623.3646893390707),
    ),
    "booth ama4": (
        (708.4333010851662, 595.9202131866236, (207, 43), (203, 35)),
        (628.5851826964222, 799.3740948206688),
    ),
    "bfloat16": ((784.0311068294033, 781.8631283191017, (2, 1), (22, 17)), (747.7713015302854, 807.1396996429152)),
}
"""Design -> (delay, simulated, operands, before) from all operands, (delay, bound) from search and proof alone."""


@pytest.mark.parametrize("name", REPORTS)
def test_costs_are_those_of_the_golden_table(name: str) -> None:
    sums, energies, others = REPORTS[name]
    quiet = cost_report(DESIGNS[name], samples=64)
    glitching = cost_report(DESIGNS[name], samples=9, glitches="arc_delay")
    drawn = quiet.drawn
    assert (drawn.transistors, drawn.area, drawn.delay, drawn.leakage) == pytest.approx(sums, rel=1e-9)
    views = (quiet.drawn, quiet.simplified, glitching.drawn, glitching.simplified)
    assert tuple(view.energy for view in views) == pytest.approx(energies, rel=1e-9)
    ratios = (quiet.ratio("energy"), glitching.ratio("energy"))
    assert (quiet.simplified.delay, *ratios) == pytest.approx(others, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUE_PATHS)
def test_true_paths_are_those_of_the_golden_table(name: str) -> None:
    (delay, simulated, operands, before), bounds = TRUE_PATHS[name]
    circuit = circuit_of(DESIGNS[name].netlist(), technology())
    longest = circuit_true_timing(circuit)
    assert (longest.delay, longest.simulated) == pytest.approx((delay, simulated), rel=1e-9)
    assert (longest.operands, longest.before) == (operands, before)
    searched = circuit_true_timing(circuit, exhaustive=0, tries=500, work=300_000)
    assert (searched.delay, searched.bound) == pytest.approx(bounds, rel=1e-9)


def test_a_report_finds_numbers_by_name() -> None:
    report = cost_report(DESIGNS["ripple ama1"], samples=16)
    assert report.value("simplified", "energy") == report.simplified.energy
    assert report.baselines["exact"].value("drawn", "delay") == report.baselines["exact"][0].delay
    for view, measure in (("as drawn", "energy"), ("drawn", "power")):
        with pytest.raises(UnknownNameError):
            report.value(view, measure)
    assert "wires" in LEFT_OUT
