"""A suspect is alone in the engine, and nobody waits for ever for that."""

import threading

from tests.worker.running import wait_until
from worker.engine_door import EngineDoor


class Visitor(threading.Thread):
    """Comes in, stays until it may leave."""

    def __init__(self, door: EngineDoor, *, alone: bool = False) -> None:
        super().__init__(daemon=True)
        self.door, self.alone = door, alone
        self.is_inside = False
        self.entered: bool | None = None
        self.may_leave, self.is_over = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self.door.enter(alone=self.alone, is_over=self.is_over.is_set) as entered:
            self.entered = self.is_inside = entered
            if entered:
                self.may_leave.wait(10)
            self.is_inside = False

    def leave(self) -> None:
        self.may_leave.set()
        self.join(10)


def test_many_are_inside_at_once_until_a_suspect_waits() -> None:
    door = EngineDoor()
    first, second = Visitor(door), Visitor(door)
    wait_until(lambda: first.is_inside and second.is_inside, 5)
    suspect = Visitor(door, alone=True)
    wait_until(lambda: door.is_wanted_alone, 5)
    late = Visitor(door)
    first.leave()
    assert not suspect.is_inside
    assert not late.is_inside
    second.leave()
    wait_until(lambda: suspect.is_inside, 5)
    assert not late.is_inside
    suspect.leave()
    wait_until(lambda: late.is_inside, 5)
    late.leave()
    assert not door.is_wanted_alone


def test_two_suspects_come_one_after_the_other() -> None:
    door = EngineDoor()
    first = Visitor(door, alone=True)
    wait_until(lambda: first.is_inside, 5)
    second = Visitor(door, alone=True)
    assert not second.is_inside
    first.leave()
    wait_until(lambda: second.is_inside, 5)
    second.leave()


def test_who_has_no_more_time_leaves_without_having_been_inside() -> None:
    door = EngineDoor()
    inside = Visitor(door)
    wait_until(lambda: inside.is_inside, 5)
    suspect = Visitor(door, alone=True)
    wait_until(lambda: door.is_wanted_alone, 5)
    suspect.is_over.set()
    suspect.join(5)
    assert suspect.entered is False
    assert not door.is_wanted_alone
    inside.leave()
