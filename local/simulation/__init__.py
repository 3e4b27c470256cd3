"""The whole pipeline in one process and one thread, on a virtual clock, with one seeded source for all that happens.

A seed decides who does what when, what fails, which message comes twice and where a process dies; the same seed gives
the same run to the last step. See `simulation.py` for one seed, `campaign.py` for many, `invariants.py` for what must
hold.
"""
