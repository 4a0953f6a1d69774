"""Scale out: the same function over many designs in this process and in two others, with the same results."""

from circuits import CELLS, Design, error_metrics
from dse import Processes

TOPOLOGIES = ("ripple_array", "carry_save_array", "wallace", "dadda")


def score(task: tuple[str, str]) -> float:
    """Ratio of means of an array of one cell; called in the processes, so it must be importable from this file."""
    topology, cell = task
    design = Design(topology=topology, placement=cell)
    return error_metrics(design, samples=20_000).mred_ratio_of_means.value


if __name__ == "__main__":
    tasks = [(topology, cell) for cell in CELLS if cell.startswith("ama") for topology in TOPOLOGIES]
    with Processes(score, 1) as here, Processes(score, 2) as two:
        alone, spread = here.run(tasks), two.run(tasks)
    print("the same in one process and in two:", alone == spread)
    print("mean |error| / mean product", *(f"{name:>16}" for name in TOPOLOGIES))
    for k in range(0, len(tasks), len(TOPOLOGIES)):
        row = spread[k : k + len(TOPOLOGIES)]
        print(
            f"{tasks[k][1]:27}", *(f"{outcome.result:16.4f}" if not outcome.error else outcome.error for outcome in row)
        )
