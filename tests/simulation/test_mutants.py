"""The invariants bite: each deliberate fault in the code is noticed by one of them."""

import pytest
from simulation.mutants import MUTANTS, Misfit, Mutant

from local.simulation.place import module

SEEDS = range(2000)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_in_the_code_is_found(mutant: Mutant) -> None:
    assert mutant.find(SEEDS) is not None


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 70


def test_a_fault_that_does_not_fit_the_code_is_not_taken_for_found() -> None:
    def outgrown() -> int:
        return 0

    mutant = Mutant("the sweep wakes nobody, in an old way", 0, lambda: [(module("sweep"), "wake_due", outgrown)])
    with pytest.raises(Misfit, match="takes 0 positional arguments"):
        mutant.find(range(0))
