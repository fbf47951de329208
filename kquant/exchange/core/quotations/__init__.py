"""Quotation TRs of the look-alike, one small module a kind. Source: kis-protocol.md 4.2-4.4, 4.10.

Answers are as of the last finished second. What a market day does not hold (older sessions, investors, members) is
derived from its seed and its research table for generated days; for imported days it is answered as KIS answers what
it lacks, `0` or blank, and never invented.
"""

from kquant.exchange.core.quotations.room import Quotations

__all__ = ["Quotations"]
