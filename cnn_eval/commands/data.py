"""`data`: the full image sets."""

from cnn_eval.data.loading import add_arguments, run

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "fetch the full image sets, or list what there is"
