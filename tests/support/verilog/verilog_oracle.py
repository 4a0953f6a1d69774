"""What iverilog computes for verilog_cases/*.v, for all operands: stored for the test that runs without it.

    python tests/support/verilog/verilog_oracle.py

writes verilog_cases/answers.json beside it: file -> (module, operand bits, product bits, products for a = 0, 1, ...
of b = 0, 1, ...). Files whose cells have no definition (Nangate, yosys) are 2 x 2 multipliers; their products are
a * b.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

CASES = Path(__file__).parent / "verilog_cases"
UNDEFINED = ("nangate.v", "yosys_cells.v")
"""Files that use library cells without a definition."""
_BLASTED = ", ".join(
    f".\\{name}[{k}] ({name}[{k}])" for name, width in (("a", 2), ("b", 2), ("p", 4)) for k in range(width)
)
_CONNECTIONS = {"blasted_ports.v": _BLASTED, "clocked.v": ".clk(1'b0), .a(a), .b(b), .p(p)"}


def shape(text: str) -> tuple[str, int, int]:
    """(module, operand bits, product bits), read from the text; relies on how these files are written."""
    module = "smul" if "module smul" in text else "m"
    text = text[re.search(rf"module {module}\b", text).start() :]  # type: ignore[union-attr]
    product = re.search(r"output\b(?: (?:wire|reg|logic|signed))* (?:\[(.*?):0\]) p\b", text)
    top = {"`W-1": 1, "2*`W-1": 3, "W-1": 3, "2*W-1": 7}
    bits = 1 + int(top.get(product[1], 0) or product[1]) if product else 4
    wide = re.search(r"input\b(?: (?:wire|signed))* \[(3:0|W-1:0|0:W-1)\] a\b", text)
    return module, 4 if wide else 2, bits


def simulate(name: str) -> tuple[str, int, int, list[int]]:
    """(module, operand bits, product bits, products) of one file, by iverilog."""
    text = (CASES / name).read_text()
    module, width, bits = shape(text)
    pairs = [(x, y) for x in range(1 << width) for y in range(1 << width)]
    if name in UNDEFINED:
        return module, width, bits, [x * y for x, y in pairs]
    connection = _CONNECTIONS.get(name, ".a(a), .b(b), .p(p)")
    lines = [
        f"module bench; reg [{width - 1}:0] a, b; wire [{bits - 1}:0] p; {module} dut({connection}); initial begin"
    ]
    lines += [f'a = {x}; b = {y}; #100 $display("%b", p);' for x, y in pairs]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench.v").write_text("\n".join([*lines, "$finish; end endmodule"]))
        command = ["iverilog", "-g2012", "-s", "bench", "-o", "bench", str(CASES / name), "bench.v"]
        subprocess.run(command, cwd=folder, check=True)
        done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, check=True)
    words = [word for word in done.stdout.split() if set(word) <= set("01")]
    return module, width, bits, [int(word, 2) for word in words[-len(pairs) :]]


def main() -> int:
    """Writes the answers."""
    answers = {path.name: simulate(path.name) for path in sorted(CASES.glob("*.v"))}
    text = json.dumps(answers, separators=(",", ":")).replace('],"', '],\n"')
    (CASES / "answers.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
