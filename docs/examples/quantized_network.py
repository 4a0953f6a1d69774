"""A quantised network through multipliers from the library, as they are and recovered."""

from circuits import cost_report, find_design
from cnn_eval import approximate, difference, load_images, load_model, measure_accuracy, quantize, recover

training, _ = load_images("mnist", "train", samples=100)
images, labels = load_images("mnist", samples=100)
given = {"images": images, "labels": labels}
network = quantize(load_model("lenet5"), training, scheme="uint8")
exact = measure_accuracy(network, **given)
print(f"exact uint8: {100 * exact.accuracy:.0f} %")
for name in ("u8_mae0.037", "u8_mae0.43", "u8_mae2.28"):
    multiplier = find_design(name)
    approximate_network = approximate(network, multiplier, layers="all")
    stages = {"as it is": approximate_network, "recovered": recover(approximate_network, training[:50])}
    print(f"{name}, {cost_report(multiplier).drawn.energy:.0f} fJ a product")
    for stage, each in stages.items():
        result = measure_accuracy(each, **given)
        moved, (low, high) = difference(result, exact)
        print(f"  {stage}: {100 * result.accuracy:.0f} %, {100 * moved:+.0f} points", end="")
        print(f" ({100 * low:+.0f} .. {100 * high:+.0f})")
