"""Measure it: errors with intervals and in closed form, cost against two baselines, on designs side by side."""

from circuits import closed_form_metrics, cost_report, design, error_metrics

for name in ("heap", "axfpm", "axfpm_tiled", "bfloat16"):
    chosen = design(name)
    errors = error_metrics(chosen, samples=100_000)
    print(chosen.label)
    for what in ("nmed", "mred", "mred_ratio_of_means", "larger"):
        value = getattr(errors, what)
        print(f"  {what:20} {value.value:.4f} (95 %: {value.low:.4f} .. {value.high:.4f})")
    exact = closed_form_metrics(chosen)
    if exact is not None:
        print(f"  {'NMED, closed form':20} {exact.nmed:.6f}")
    cost = cost_report(chosen)
    for baseline in cost.baselines:
        print(f"  energy {cost.ratio('energy', baseline=baseline):.2f}", end="")
        print(f", delay {cost.ratio('delay', baseline=baseline):.2f} of {baseline}")
print(cost.note)
