"""Search layers: a multiplier of a small library for each layer of LeNet-5 in 8-bit codes."""

from dse import SearchOptions, Space, library_members, run_search, settings_for_network

space = Space(
    name="layers",
    topologies=(),
    formats=("int8",),
    library=library_members(["exact", "s8_mae0.2", "s8_mae0.9"], ["int8"]),
    network_layers=("conv1", "conv2", "fc1"),
)
settings = settings_for_network("lenet5", quantize="int8", images=100, attack_images=0)
options = SearchOptions(space=space, objectives=["image_energy", "accuracy_loss"], settings=settings)
print(options.space.describe())
result = run_search(options)
print("     nJ  loss, pp  multipliers")
for row in result.front:
    multipliers = ", ".join(f"{layer} {design.label}" for layer, design in row.design.designs.items())
    print(f"{row.scores['image_energy']:7.1f} {row.scores['accuracy_loss']:9.1f}  {multipliers}")
