"""Retrain it: LeNet-5 of 8-bit codes through a bad multiplier, with two kinds of gradient."""

from circuits import find_design
from cnn_eval import FinetuneSettings, approximate, finetune, load_images, load_model, measure_accuracy, quantize

training, classes = load_images("mnist", "train", samples=300)
images, labels = load_images("mnist", samples=100)
network = approximate(quantize(load_model("lenet5"), training[:100], scheme="uint8"), find_design("u8_mae2.28"))
print(f"before: {100 * measure_accuracy(network, images=images, labels=labels).accuracy:.0f} %")
for backward in ("ste", "table1d"):
    settings = FinetuneSettings(epochs=2, backward=backward)
    retrained = finetune(network, training, classes, settings, on_epoch=lambda epoch: print(f"  loss {epoch.loss:.2f}"))
    print(f"after, {backward}: {100 * measure_accuracy(retrained, images=images, labels=labels).accuracy:.0f} %")
