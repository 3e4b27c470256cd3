"""The invariants bite: each deliberate fault in the code is noticed by one of them."""

from __future__ import annotations

import pytest
from simulation.mutants import MUTANTS, Mutant

SEEDS = range(2000)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_in_the_code_is_found(mutant: Mutant) -> None:
    assert mutant.find(SEEDS) is not None


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15
