"""EvoApproxLib's 8x8 unsigned multipliers as points of comparison.

Mrazek, Hrbacek, Vasicek, Sekanina, "EvoApprox8b: library of approximate adders and multipliers for circuit design and
benchmarking of approximation methods", DATE 2017; https://ehw.fit.vutbr.cz/evoapproxlib (the circuits of the category
Pareto-optimal, 36 files). MAE, WCE, error rate and MRED are the published numbers, which this project's `circuits
metrics` reproduces from the files. Energy, delay and area are this project's, of the files imported as they are:
`cost_report` as drawn, no glitches, 2,048 samples, seed 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedMultiplier:
    """One circuit: `name` after "mul8u_"; `mae` and `wce` in per cent of 2^16, `error_rate` and `mred` (over nonzero
    products) in per cent; `energy` fJ, `delay` ps, `area` um^2."""

    name: str
    mae: float
    wce: float
    error_rate: float
    mred: float
    energy: float
    delay: float
    area: float


_TABLE = """
    #  name     MAE     WCE   wrong    MRED  energy   delay    area
       1JFF     0.0     0.0     0.0     0.0   353.4     735   317.1
        Y48 0.00019  0.0031    6.25  0.0053   366.1     806   389.4
       125K 0.00095  0.0092   17.19   0.023   359.8     806   382.5
        LM7  0.0014   0.015   19.53   0.033   356.1     806   378.3
        2P7  0.0015  0.0046   64.06   0.052   362.4     806   385.7
        KEM  0.0046   0.017    75.0    0.18   346.1     806   368.7
       14VP  0.0076   0.064   39.26    0.14   339.6     810   361.8
       150Q  0.0076   0.064    37.3    0.15   337.2     810   360.2
        QJD   0.017   0.082    74.8    0.51   316.3     810   336.2
        CK5   0.017   0.061   87.54    0.59   316.0     810   333.0
       1446   0.018    0.29    9.38    0.13   370.2     792   394.7
        2AC   0.037    0.12   98.12    1.25   285.7     806   300.6
        GS2   0.057    1.14   29.93    0.51   333.2     751   343.7
        2HH   0.057    0.18   97.72    2.56   275.7     810   292.1
        ZFB   0.059    0.45   69.26     0.8   293.0     574   341.0
        NGR   0.065    0.25   96.37     1.9   252.4     794   266.5
        7C1    0.13    2.38   39.93    1.04   325.9     636   339.4
       185Q    0.18    0.79   98.05    4.16   201.3     774   219.5
       19DB    0.18    0.66   98.37    4.42   206.4     710   216.5
        DM1     0.2    0.89   98.16    4.73   190.4     744   200.6
       12N4    0.43    2.15   87.31     4.2   176.1     569   208.3
        RCG    0.43    4.48   49.91    2.61   292.5     899   301.6
       17KS    0.56    2.41   98.99   10.85   113.0     541   121.8
       1CMB    0.65    6.23   65.97    4.05   244.4     749   253.8
       1AGV    0.67    2.94   99.05   12.14    99.0     573   106.9
        FTA    0.89    4.29   98.74   13.96    92.0     479   101.1
        JQQ    1.12   15.53   19.82    2.64   349.1     786   362.3
        L40    1.54   13.92   74.91    7.46   209.4     666   217.1
        JV3    2.15    8.21   99.16   39.78    47.6     301    50.5
       18DU    2.28    9.08   99.16   28.42    42.6     321    46.8
       13QR    4.83   19.46    99.2    44.0    15.4      92    18.6
        YX7    4.84   49.22   88.71   15.66   104.3      96   121.3
        QKX    5.09   49.23   97.47   21.95    49.8      96    58.5
       17C8    7.41   25.78   99.21   57.81     6.8      73     8.0
       17QU    8.01   27.24   99.22   59.69     6.2      71     6.9
        E9R   24.81   99.22   99.22   100.0     0.0       0     0.0
"""

MULTIPLIERS = tuple(
    PublishedMultiplier(name, *map(float, numbers))
    for name, *numbers in (line.split() for line in _TABLE.splitlines() if line.strip() and "#" not in line)
)
"""All 36, the exact one (1JFF) and the one that is constantly 0 (E9R) among them."""


def contenders(metric: str) -> tuple[PublishedMultiplier, ...]:
    """Approximate multipliers (0 < MAE < 24 %) that no other one, the exact one included, beats in `metric` ("mae",
    "wce" or "mred") and energy."""

    def beaten(one: PublishedMultiplier) -> bool:
        error = getattr(one, metric)
        return any(
            getattr(other, metric) <= error
            and other.energy <= one.energy
            and (getattr(other, metric), other.energy) != (error, one.energy)
            for other in MULTIPLIERS
        )

    return tuple(one for one in MULTIPLIERS if 0 < one.mae < 24 and not beaten(one))
