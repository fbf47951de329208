import asyncio
import threading

import pytest

from kquant.events.day import AlarmCancelled, AlarmRang, AlarmSet
from kquant.gateways.clock import ClockGateway, ClockWentBack, SteppedClock
from kquant.journal.memory import MemoryJournal


# Spinning with sleep(0) gives the loop its turn; nothing here waits for wall time.
# ruff: noqa: ASYNC110
async def settle(gateway):
    async with asyncio.timeout(10):
        while not gateway.idle():
            await asyncio.sleep(0)


async def started(journal, clock):
    gateway = ClockGateway(journal, clock, changed=lambda: None, on_fatal=pytest.fail)
    await gateway.start()
    return gateway


def rung(journal):
    return [
        (fact.event.owner, fact.event.alarm, fact.event.due, fact.caused_by)
        for fact in journal.read(0)
        if isinstance(fact.event, AlarmRang)
    ]


def set_alarm(journal, owner, alarm, due):
    return journal.append(owner, [AlarmSet(alarm=alarm, due=due)], by=owner).result()[0].seq


async def test_alarms_ring_once_in_the_order_they_are_due():
    clock = SteppedClock(0)
    journal = MemoryJournal(clock.now)
    gateway = await started(journal, clock)
    late = set_alarm(journal, "slots", "late", 20)
    early = set_alarm(journal, "scanner", "early", 10)
    tied = set_alarm(journal, "slots", "tied", 10)
    await settle(gateway)
    assert (rung(journal), gateway.next_due()) == ([], 10)
    clock.set(20)
    await settle(gateway)
    expected = [("scanner", "early", 10, early), ("slots", "tied", 10, tied), ("slots", "late", 20, late)]
    assert rung(journal) == expected
    await gateway.close()


async def test_a_replaced_or_cancelled_alarm_stays_silent():
    clock = SteppedClock(0)
    journal = MemoryJournal(clock.now)
    gateway = await started(journal, clock)
    set_alarm(journal, "slots", "a", 10)
    second = set_alarm(journal, "slots", "a", 30)
    set_alarm(journal, "slots", "b", 10)
    journal.append("slots", [AlarmCancelled(alarm="b")], by="slots").result()
    clock.set(30)
    await settle(gateway)
    assert rung(journal) == [("slots", "a", 30, second)]
    await gateway.close()


async def test_missed_alarms_ring_at_the_next_start_and_never_again():
    clock = SteppedClock(100)
    journal = MemoryJournal(clock.now)
    seq = set_alarm(journal, "slots", "missed", 50)
    for _ in range(2):
        gateway = await started(journal, clock)
        await settle(gateway)
        await gateway.close()
    assert rung(journal) == [("slots", "missed", 50, seq)]


async def test_a_stepped_clock_wakes_sleepers_of_two_loops():
    clock = SteppedClock(0)
    woken = threading.Event()

    def other():
        async def main():
            await clock.sleep_until(5)
            woken.set()

        asyncio.run(main())

    thread = threading.Thread(target=other)
    thread.start()
    here = asyncio.create_task(clock.sleep_until(7))
    async with asyncio.timeout(10):
        while clock.next_wake() != 5:
            await asyncio.sleep(0)
        clock.set(5)
        assert await asyncio.to_thread(woken.wait, 10)
        while clock.next_wake() != 7:
            await asyncio.sleep(0)
        clock.set(8)
        await here
    thread.join(10)
    assert clock.next_wake() is None


async def test_a_cancelled_sleeper_is_forgotten():
    clock = SteppedClock(0)
    task = asyncio.create_task(clock.sleep_until(9))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.next_wake() is None


def test_a_stepped_clock_never_goes_back():
    clock = SteppedClock(5)
    with pytest.raises(ClockWentBack):
        clock.set(4)
