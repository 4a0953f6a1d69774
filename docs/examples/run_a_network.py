"""Run a network through it: accuracy of LeNet-5 by design and by layer, paired with the exact network."""

from circuits import AdderCell, Design, design
from cnn_eval import difference, measure_accuracy

lopsided = AdderCell.from_expressions("lopsided", sum="A & ~B | Cin", carry="A | B & Cin")
subjects = {
    "axfpm": design("axfpm"),
    "heap (reconstructed)": design("heap"),
    "lopsided array": Design(topology="carry_save_array", ports="scp", placement=lopsided),
    "lopsided, other ports": Design(topology="carry_save_array", ports="csp", placement=lopsided),
    "lopsided in conv2 only": {"conv2": Design(topology="carry_save_array", ports="csp", placement=lopsided)},
}
exact = measure_accuracy(design("exact"), samples=300)
print(f"{'exact':24} {100 * exact.accuracy:6.2f} %")
for name, subject in subjects.items():
    measured = measure_accuracy(subject, samples=300)
    moved, (low, high) = difference(measured, exact)
    print(f"{name:24} {100 * measured.accuracy:6.2f} %", end="")
    print(f", {100 * moved:+6.2f} points ({100 * low:+.2f} .. {100 * high:+.2f})")
