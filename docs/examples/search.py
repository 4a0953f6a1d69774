"""Search: a small space with a cell of your own, scored in full; scores stay in runs/example_search."""

from pathlib import Path

from circuits import CELLS, AdderCell
from dse.explore.search_loop import search
from dse.explore.search_options import SearchOptions
from dse.score.scorer_choice import objectives
from dse.score.scorers.scorer import ScoreSettings
from dse.score.store import Store
from dse.space.search_space import Space

lopsided = AdderCell.from_expressions("lopsided", sum="A & ~B | Cin", carry="A | B & Cin")
space = Space(
    name="example",
    topologies=("carry_save_array",),
    ports=("scp",),
    bands=(0, 36),
    cells=(CELLS["exact"], CELLS["ama5"], lopsided),
    half_adders=("exact",),
    final_adders=("exact",),
)
print(space.describe())
options = SearchOptions(
    space=space, objectives=objectives(["energy", "nmed"]), settings=ScoreSettings(images=50, attack_images=1)
)
folder = Path("runs/example_search")
folder.mkdir(parents=True, exist_ok=True)
with Store(folder / "store.sqlite") as store:
    result = search(options, store)
print(f"{len(result.rows)} designs; the front:")
print("     fJ     NMED  loss, pp  FGSM fools, %  with a margin")
for row in result.front:
    shown = ("energy", "8.0f"), ("nmed", "8.1e"), ("accuracy_loss", "9.1f")
    shown += ("transfer_fgsm_smallest", "14.0f"), ("margin_fgsm_smallest", "14.0f")
    print(*(format(row.scores[name], spec) for name, spec in shown), row.name)
