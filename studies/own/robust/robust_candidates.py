"""The designs that study robust_search looks through: arrays, families, number formats, evolved circuits, layers.

Each group is a space of `dse`, or the library. Designs are drawn from a seed, so that a number always names the same
design, and a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, cycle, islice

from circuits import CELLS
from dse.space.families import Family
from dse.space.library_members import BUILT_IN, library_members
from dse.space.per_layer import Candidate
from dse.space.search_space import ARRAYS, Space

CONVOLUTIONS = (("conv1", 86_400), ("conv2", 153_600))
"""LeNet-5's convolutions with their products an image: output pixels x channels x kernel x inputs."""
_CELLS = tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5"))
_NARROW = ("bfloat16", "float16", "tf32")


def _families(segments: tuple[int, ...], columns: tuple[int, ...]) -> tuple[Family, ...]:
    """Families with options that suit a width: static `segments` are at least half of it, `columns` are left out."""
    return (
        Family("mitchell"),
        Family("roba"),
        Family("drum", (("k", (3, 4, 5, 6, 7)),)),
        Family("static_segment", (("m", segments),)),
        Family("truncated", (("columns", columns), ("compensation", ("none", "constant", "variable")))),
        Family("broken_array", (("horizontal", (0, 2, 4)), ("vertical", columns))),
        Family("approximate_booth", (("encoder", ("1", "2")), ("p", columns))),
    )


EVOLVED = "evolved"
"""The group of the package's library of evolved 8-bit circuits, in networks quantised for them."""


def _spaces() -> dict[str, Space]:
    """The groups that are spaces; checked when they are made, which takes a second."""
    return {
        "arrays": ARRAYS,
        "cells in other formats": Space(
            name="formats",
            topologies=("ripple_array", "carry_save_array", "wallace", "dadda"),
            bands=(0, 4, 8),
            cells=_CELLS,
            formats=_NARROW,
        ),
        "families": Space(name="families", topologies=(), families=_families((12, 14, 16), (16, 24, 32))),
        "families in other formats": Space(
            name="narrow_families", topologies=(), formats=_NARROW, families=_families((6, 7, 8), (4, 6, 8))
        ),
        "a design a layer": Space(
            name="by_layer",
            bands=(0, 24, 32, 40),
            cells=_CELLS,
            layers=CONVOLUTIONS,
            families=(Family("drum", (("k", (3, 4, 5, 6, 7)),)), Family("mitchell")),
        ),
    }


def candidates(count: int, seed: int) -> list[tuple[str, Candidate]]:
    """(group, design) of `count` different designs, fewer where the spaces hold fewer; the groups take turns.

    A group that has no more designs leaves its turns to the others.
    """
    groups: dict[str, Iterator[Candidate]] = {name: _drawn(space, seed, count) for name, space in _spaces().items()}
    groups[EVOLVED] = iter(library_members((BUILT_IN,), ("uint8", "int8")))
    return list(islice(_in_turn(groups), count))


def _drawn(space: Space, seed: int, count: int) -> Iterator[Candidate]:
    """The uniform designs of a space first, then random ones, each once; of some more draws than `count` or the space.

    Genes that say nothing make several genomes of one design, so that a small space ends before it has given all.
    """
    seen = set()
    for genome in chain(space.uniform(), space.sample(seed, 3 * min(count, space.size))):
        candidate = space.decode(genome)
        if candidate.digest not in seen:
            seen.add(candidate.digest)
            yield candidate


def _in_turn(groups: Mapping[str, Iterator[Candidate]]) -> Iterator[tuple[str, Candidate]]:
    left = dict(groups)
    for name in cycle(groups):
        if not left:
            return
        if name in left:
            candidate = next(left[name], None)
            if candidate is None:
                del left[name]
            else:
                yield name, candidate
