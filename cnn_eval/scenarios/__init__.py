"""Attack scenarios: who attacks which network with what knowledge, and how success is counted.

    transfer    crafted on the source, the exact network; tried on every victim
    black-box   crafted on a substitute, trained on the victim's answers; tried on the victim
    white-box   crafted on the victim itself, through its own gradients

The *source* is the network that examples are crafted on, a *victim* a network that they are tried on. *Eligible* are
the samples that count: those that both classify rightly and that fool the source.
"""
