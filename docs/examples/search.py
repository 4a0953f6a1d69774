"""Search: a small space with a cell of your own, scored in full; scores stay in runs/example_search."""

from circuits import CELLS, AdderCell
from dse import ScoreSettings, SearchOptions, Space, run_search

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
options = SearchOptions(space=space, objectives=["energy", "nmed"], settings=ScoreSettings(images=50, attack_images=1))
result = run_search(options, store="runs/example_search/store.sqlite")
print(f"{len(result.rows)} designs; the front:")
print("     fJ     NMED  loss, pp  FGSM fools, %  with a margin")
for row in result.front:
    columns = ("energy", "8.0f"), ("nmed", "8.1e"), ("accuracy_loss", "9.1f")
    columns += ("transfer_fgsm_smallest", "14.0f"), ("margin_fgsm_smallest", "14.0f")
    print(*(format(row.scores[name], spec) for name, spec in columns), row.name)
