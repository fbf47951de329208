"""Faults of the exchange: what can go wrong at KIS, switchable by name from the command line, a file or the admin port.

Pure: time is handed in, chance comes from generators seeded by the fault itself. The servers ask a `FaultBook` at each
hook and do what it says; an empty book costs one look at an empty list.
"""

from kquant.exchange.faults.book import FaultBook
from kquant.exchange.faults.catalog import KINDS
from kquant.exchange.faults.fault import Fault, FaultError
from kquant.exchange.faults.spec import describe, faults_from_call, faults_from_spec, faults_from_toml
from kquant.exchange.faults.verdicts import After, Before, Connected, Incoming, Moment, Now, Session

__all__ = [
    "KINDS",
    "After",
    "Before",
    "Connected",
    "Fault",
    "FaultBook",
    "FaultError",
    "Incoming",
    "Moment",
    "Now",
    "Session",
    "describe",
    "faults_from_call",
    "faults_from_spec",
    "faults_from_toml",
]
