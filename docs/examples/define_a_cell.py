"""Define a cell: truth tables, errors, and what it costs by estimate or by your own measurement."""

from circuits import CELLS, AdderCell, Design, cost_report

lopsided = AdderCell.from_expressions("lopsided", sum="A & ~B | Cin", carry="A | B & Cin", transistors=10)
measured = AdderCell(
    "measured", lopsided.sum, lopsided.carry, transistors=10, delay_ps=41.0, energy_fj=2.1, area_um2=3.2
)

print("rows A B Cin        000 001 010 011 100 101 110 111")
for cell in (CELLS["exact"], CELLS["ama5"], lopsided):
    print(f"{cell.name:10} sum    ", *(f"{bit:3}" for bit in cell.sum))
    print(f"{'':10} carry  ", *(f"{bit:3}" for bit in cell.carry))
    print(f"{'':10} error  ", *(f"{error:+3d}" for error in cell.errors))

for cell in (CELLS["exact"], CELLS["ama5"], lopsided, measured):
    report = cost_report(Design(format=None, width=8, placement=cell), samples=512)
    mark = "~" if report.estimated else ""
    print(f"8 x 8 ripple array of {cell.name}: {mark}{report.drawn.area:.0f} um^2, {mark}{report.drawn.delay:.0f} ps")
