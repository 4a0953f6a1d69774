"""Families of approximate multipliers beside each other: error, energy, area; and an approximate accumulator."""

from __future__ import annotations

from circuits import adder, cost_report, error_metrics, find_design, mac_cost

FAMILIES = (
    "mitchell:width:8",
    "mbm:width:8",
    "drum:width:8:k:4",
    "static_segment:width:8:m:5",
    "broken_array:width:8:vertical:6",
    "truncated:width:8:columns:6",
    "kulkarni:width:8",
    "compressor_tree:width:8:compressor:venkatachalam",
)


def main() -> None:
    """Prints a line for each family, then the energy of a multiply-accumulate."""
    print(f"{'design':44} {'MRED %':>7} {'fJ':>6} {'um^2':>6}")
    for text in FAMILIES:
        design = find_design(text)
        cost = cost_report(design, samples=512).drawn
        print(f"{text:44} {100 * error_metrics(design).mred.value:7.2f} {cost.energy:6.0f} {cost.area:6.0f}")

    multiplier = find_design("drum:width:8:k:4:signed:true")
    for text in ("ripple", "loa(lower=6)"):
        both = mac_cost(multiplier, adder(text, 24), samples=512)
        print(f"{multiplier.label} and {text}: {both.energy:.0f} fJ a product and its addition")


if __name__ == "__main__":
    main()
