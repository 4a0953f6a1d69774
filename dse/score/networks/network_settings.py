"""Which network scores are measured in, beyond the names of the model and of its data set."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

__all__ = ["OPERANDS", "NetworkSettings"]

OPERANDS = ("uniform", "layers")
"""What error metrics are measured on: operands drawn uniformly, or also those that the network's layers see."""
_PATHS = ("weights", "data")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How the network is made, and on what images it runs. Empty text and 0 stand for defaults.

    - `weights`: a file in place of the model's own weights. `data`: "embedded", "full", or the path of a user's own
      images; `folder`: of the full data set.
    - `layers`: those whose products go through the design: "conv", "linear", "all", or names.
    - `products`: (layer, products an image) of these layers, read from the network; empty until they are asked for.
    - `quantize`, `bits`, `calibration`, `calibration_images`, `first_last`: as `cnn_eval.measure.subject_networks`
      takes them. Without `quantize`, integer designs are scored in a network quantised by its defaults.
    - `recover`: images to correct each network from, by a gain and a bias a channel; 0: none.
    - `accumulator`: (bits, what happens beyond the range) of what adds a layer's products; None: exact sums.
    - `operands`: one of `OPERANDS`.
    """

    weights: str = ""
    data: str = "embedded"
    folder: str = ""
    layers: str | tuple[str, ...] = "conv"
    products: tuple[tuple[str, int], ...] = ()
    quantize: str = ""
    bits: tuple[int, int] | None = None
    calibration: str = ""
    calibration_images: int = 0
    first_last: str = ""
    recover: int = 0
    accumulator: tuple[int, Literal["wrap", "saturate"]] | None = None
    operands: str = OPERANDS[0]

    @property
    def loaded(self) -> NetworkSettings:
        """These without what plays no part in how the network is loaded and its images are."""
        return replace(self, layers="conv", products=(), operands=OPERANDS[0])

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers, where they are chosen by name; otherwise none."""
        return () if isinstance(self.layers, str) else self.layers

    @property
    def quantization(self) -> dict[str, Any]:
        """The keywords of `QuantizeSettings` that are not left to their defaults; {} where nothing is quantised."""
        keywords = {
            "scheme": self.quantize,
            "bits": self.bits,
            "calibration": self.calibration,
            "first_last": self.first_last,
            "images": self.calibration_images,
        }
        return {name: value for name, value in keywords.items() if value} if self.quantize else {}

    def describe(self) -> str:
        """Codes, layers and their products, and recovery, in words."""
        codes = f"quantised to {self.quantize}, " if self.quantize else ""
        layers = f"{self.layers} layers" if isinstance(self.layers, str) else f"layers {', '.join(self.layers)}"
        if self.products:
            total = sum(products for _, products in self.products)
            layers = f"{layers} ({len(self.products)}, {total:,} products an image)"
        recovered = f", recovered from {self.recover} images" if self.recover else ""
        sums = ", accumulators of {} bits ({})".format(*self.accumulator) if self.accumulator else ""
        return f"{codes}{layers}{recovered}{sums}"

    def to_data(self) -> dict[str, Any]:
        """What differs from the defaults, JSON-ready. Of paths only the name: what they hold is in the scores' keys."""
        data = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value == item.default or item.name == "folder":
                continue
            data[item.name] = Path(value).name if item.name in _PATHS else value
        return data
