"""Evaluates approximate multipliers inside convolutional networks: data, trained models, layers, attacks, scenarios.

Importing this package imports nothing heavy; each module is imported where it is needed. It asks OpenMP, before torch
loads it, to let threads that wait sleep (OMP_WAIT_POLICY, unless that is set): the networks are small and attacks call
them thousands of times. Where another program wants a core, two spinning threads took eleven times the processor time
of one (study figures8_11, quick), two sleeping ones a third more.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
