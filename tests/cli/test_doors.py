"""Time behind the door: a wall that jumps, a machine that was suspended, a night that is slept through."""

from kquant.cli.doors import KisDoor
from kquant.gateways.clock import WallClock
from kquant.values import SECOND_US


class Machine:
    """A wall and a steady clock that a test moves."""

    def __init__(self) -> None:
        self.wall = 1_764_000_000_000_000_000
        self.steady = 5_000_000_000

    def clock(self) -> WallClock:
        return WallClock(wall=lambda: self.wall, steady=lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.steady += int(seconds * 1e9)


def test_a_suspended_machine_is_followed_and_its_clock_never_goes_back():
    machine = Machine()
    clock = machine.clock()
    before = clock.now()
    machine.passes(1)
    machine.wall += 600 * 10**9  # suspended for ten minutes: the steady clock stood still
    assert clock.now() - before == SECOND_US
    assert clock.follow_wall() == 600 * SECOND_US
    assert clock.now() - before == 601 * SECOND_US
    machine.wall -= 3_600 * 10**9
    ahead = clock.now()
    assert clock.follow_wall() == -3_600 * SECOND_US
    assert clock.now() == ahead
    assert clock.follow_wall() == -3_600 * SECOND_US


async def test_a_jump_is_told_once_and_a_wall_set_back_is_not_told_every_second():
    machine = Machine()
    told = []
    door = KisDoor(told.append)
    door.clock = machine.clock()
    await door._resync()
    assert told == []
    machine.wall += 600 * 10**9
    await door._resync()
    await door._resync()
    assert told == [600 * SECOND_US]
    machine.wall -= 60 * 10**9
    for _ in range(5):
        machine.passes(1)
        await door._resync()
    assert told == [600 * SECOND_US, -60 * SECOND_US]
    machine.wall += 30 * 10**9  # halfway back: told, as it is another skew
    await door._resync()
    assert told[2:] == [-30 * SECOND_US]


async def test_a_rest_ends_when_somebody_interrupts():
    door = KisDoor(lambda _: None)
    asked = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 1

    await door.rest(door.clock.now() + 3_600 * SECOND_US, stopped)
    assert len(asked) == 2
