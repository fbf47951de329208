"""The mutation of the safety net: known bugs, one at a time, in what decides about slots, orders and money."""

from bench.mutants import gateway, orders, portfolio, slots
from bench.mutants.mutant import Mutant, RottenMutant

MUTANTS: tuple[Mutant, ...] = (*slots.MUTANTS, *gateway.MUTANTS, *orders.MUTANTS, *portfolio.MUTANTS)

__all__ = ["MUTANTS", "Mutant", "RottenMutant"]
