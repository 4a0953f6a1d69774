"""A multiplier of the library for each layer of an int8 network, against one multiplier for all layers.

The candidates are every single multiplier, and the assignments to layers on the front of a search of `dse` by energy
and by the divergence of the network's answers, which tells more on few images than the accuracy. From the cheapest
upward, candidates are measured on images that no search has seen, and the first one is taken whose loss against the
exact int8 network, at the upper end of its 95 % interval for paired samples, is at most the limit of the level.
Energies are those of all products of an image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from cnn_eval.models.inference import predict
from dse.explore.search_options import SearchOptions
from dse.present.score_table import structure
from dse.present.search_folder import run_search
from dse.score.evaluation import measure
from dse.score.executor import Processes, available_cpus
from dse.score.networks.network_fitting import settings_for_network, with_layers
from dse.score.networks.scored_networks import evaluation_images, networks_for
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import ScoreSettings
from dse.space.number_formats import number_format
from dse.space.per_layer import Candidate, for_network
from dse.space.search_space import SPACES
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "a multiplier of the library for each layer of an int8 network"
SOURCE = "our own study; beside ALWANN (Mrazek, Vasicek, Sekanina, Hanif, Shafique, ICCAD 2019)"
ALWANN = -30.0
"""The change of multiplication energy against exact 8-bit multipliers that ALWANN reports, in %."""


@dataclass(frozen=True)
class _Size:
    """What a level runs. `searched`: images of the search, the first ones; `unseen`: images behind them, the last ones.
    `limit`: largest loss, in percentage points, at the upper end of the interval."""

    model: str
    searched: int
    unseen: int
    budget: int
    limit: float


_FEW = 5
"""A design that loses too much is dropped after one image in so many."""
_SIZES = MappingProxyType(
    {
        "quick": _Size("resnet8", 40, 100, 24, 10.0),
        "default": _Size("resnet20", 200, 800, 240, 1.5),
        "full": _Size("resnet20", 200, 5000, 240, 0.5),
    }
)
"""With fewer images no design can have a narrow interval, so that the limit is wider there."""


@dataclass(frozen=True)
class _Chosen:
    """A design with its energy an image and its loss on the unseen images (pp, with the paired interval)."""

    design: Candidate
    energy: float
    loss: float
    interval: tuple[float, float]


def run(options: StudyOptions) -> StudyResult:
    """Searches single multipliers and assignments to layers; see `_SIZES`."""
    size = _SIZES[options.level]
    settings = settings_for_network(
        size.model,
        data=options.data,
        folder=options.data_folder,
        quantize="int8",
        images=size.searched,
        attack_images=0,
        cost_samples=1024,
    )
    unseen = _Unseen(size, settings)
    settings = with_layers(settings, "all", integer=True)
    energy = SCORERS["network_energy"].measure
    exact = energy(unseen.exact, settings)["image_energy"]
    members = [(energy(each, settings)["image_energy"], each) for each in SPACES["library"].library]
    single = unseen.cheapest(members, exact)
    layered = unseen.cheapest(_front(size, settings), exact)
    # One multiplier in all layers is an assignment to layers, too.
    layered = min(layered, single, key=lambda chosen: chosen.energy)
    gain = 100 * (layered.energy / single.energy - 1)
    per_layer = f"{size.model}, a multiplier a layer"
    rows = [
        Row(f"{size.model}, exact int8", "energy of all products an image", 1e-3 * exact, unit="uJ"),
        *_rows(f"{size.model}, one multiplier", single, exact),
        *_rows(per_layer, layered, exact, published=ALWANN),
        Row(per_layer, "energy against the best single one", gain, unit="%"),
    ]
    reason = (
        f"Among designs that lose at most {size.limit:g} points on {size.unseen:,} unseen images (upper end of the "
        f"paired interval), the best single multiplier, {single.design.label}, changes the energy of exact int8 by "
        f"{_change(single, exact):+.1f} % and a multiplier a layer by {_change(layered, exact):+.1f} % (ALWANN: "
        f"{ALWANN:+.0f} %), which is {gain:+.1f} % against the best single one."
    )
    sizes = {
        "images of the search": size.searched,
        "unseen images": size.unseen,
        "budget of the search": size.budget,
        "largest loss, upper end": size.limit,
    }
    return StudyResult(rows, "measured", reason, {**sizes, "layers": structure(layered.design)})


def _front(size: _Size, settings: ScoreSettings) -> list[tuple[float, Candidate]]:
    """(energy of an image, design by layer) on the front of a search."""
    options = SearchOptions(
        space=SPACES["library_by_layer"],
        objectives=("image_energy", "divergence"),
        budget=size.budget,
        population=20,
        settings=settings,
    )
    result = run_search(options, executor=Processes(measure, available_cpus()))
    return [(row.scores["image_energy"], row.design) for row in result.front]


class _Unseen:
    """Images behind those of the search, and the int8 network's answers on them.

    `exact`: the exact multiplier, which every network with one loses against.
    """

    def __init__(self, size: _Size, settings: ScoreSettings) -> None:
        images, labels = evaluation_images(settings)
        assert len(images) >= size.searched + size.unseen
        self._images, self._labels = images[-size.unseen :], labels[-size.unseen :]
        self._limits = size
        self.exact = number_format("int8").exact
        self._network = networks_for(self.exact, settings).exact(self.exact)
        self._answers = self._measured(self._network, size.unseen)

    def cheapest(self, candidates: Iterable[tuple[float, Candidate]], exact: float) -> _Chosen:
        """Of (energy, design), the cheapest that loses at most the limit here; if none does, the exact design, whose
        energy is `exact`."""
        for energy, design in sorted(candidates, key=lambda entry: entry[0]):
            # Where a few images show already that it loses more than the limit, the others are not needed.
            few = self._chosen(design, energy, len(self._labels) // _FEW)
            if few.interval[0] > self._limits.limit:
                continue
            chosen = self._chosen(design, energy, len(self._labels))
            if chosen.interval[1] <= self._limits.limit:
                return chosen
        return self._chosen(self.exact, exact, len(self._labels))

    def _chosen(self, design: Candidate, energy: float, count: int) -> _Chosen:
        """The design with its loss on the first `count` images."""
        network = approximate(self._network, for_network(design), layers="all")
        baseline = AccuracyResult(self._answers.correct[:count])
        moved, (low, high) = difference(self._measured(network, count), baseline)
        return _Chosen(design, energy, -100 * moved, (-100 * high, -100 * low))

    def _measured(self, network: nn.Module, count: int) -> AccuracyResult:
        return AccuracyResult((predict(network, self._images[:count]) == self._labels[:count]).numpy())


def _change(chosen: _Chosen, exact: float) -> float:
    return 100 * (chosen.energy / exact - 1)


def _rows(subject: str, chosen: _Chosen, exact: float, *, published: float | None = None) -> list[Row]:
    return [
        Row(subject, "energy of all products an image", 1e-3 * chosen.energy, unit="uJ"),
        Row(subject, "energy against exact int8", _change(chosen, exact), published, unit="%"),
        Row(subject, "loss on unseen images", chosen.loss, interval=chosen.interval, unit="pp"),
    ]
