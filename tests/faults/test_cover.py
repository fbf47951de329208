"""Every kind of fault that the exchange knows is tried against the whole client."""

from kquant.exchange.faults import KINDS, faults_from_spec

from . import (
    test_account,
    test_clock,
    test_frames,
    test_lines,
    test_notices,
    test_orders,
    test_reads,
    test_registrations,
    test_wall,
)

DAYS = (
    test_account, test_clock, test_frames, test_lines, test_notices, test_orders, test_reads, test_registrations, test_wall
)  # fmt: skip


def test_every_kind_of_fault_is_tried_by_name():
    tried = {fault.kind for day in DAYS for spec in day.FAULTS for fault in faults_from_spec(spec)}
    assert tried == set(KINDS)
