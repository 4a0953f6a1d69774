"""Attack it: minimum-norm examples of the exact network on axfpm, by margin, beside the control without noise."""

from circuits import design
from cnn_eval import (
    CONTROL,
    AdaptiveAttack,
    adaptive_robustness,
    approximate,
    load_images,
    load_model,
    measure_margins,
    power_of_two_control,
)

exact = load_model("lenet5")
images, labels = load_images("mnist")
victims = {
    "axfpm": approximate(exact, design("axfpm")),
    "heap (reconstructed)": approximate(exact, design("heap")),
    CONTROL: power_of_two_control(exact),
}
print("share of FGSM examples that also fool, by factor on the smallest perturbation that fools the exact network")
for point in measure_margins(exact, victims, images[:40], labels[:40], attacks=["fgsm"]):
    low, high = (100 * end for end in point.interval)
    print(f"x{point.value:<5g} {point.victim:22} {100 * point.rate:5.1f} % ({low:.0f} .. {high:.0f})")

print("accuracy under PGD on the network itself, Linf 0.1, 20 images")
for name in ("exact", "axfpm"):
    result = adaptive_robustness(design(name), AdaptiveAttack(steps=10), samples=20)
    print(f"{name:8} {100 * result.accuracy:5.1f} % (clean {100 * result.clean.mean():.1f} %)", *result.gradients)
