"""A gateway takes nothing while a disk is short of room, says which and how much, and goes on by itself."""

from __future__ import annotations

from schemas.health.disk_room import Room

MB = 1 << 20


def test_a_disk_short_of_room_refuses_until_there_is_more() -> None:
    left, now = {"/nowhere/kafka": 500 * MB, "/nowhere/data": 500 * MB}, [0.0]
    room = Room(list(left), 256 * MB, free=left.__getitem__, clock=lambda: now[0])
    assert room.reasons() == ()
    left["/nowhere/kafka"] = 12 * MB
    now[0] += 1
    (reason,) = room.reasons()
    assert reason.refuses
    assert not reason.lasting
    assert str(reason) == (
        "12 MB are left on the disk of /nowhere/kafka, fewer than 256 (WEIR_MINIMUM_FREE_MB); "
        "make room there; it goes on by "
        "itself, and nothing that was acknowledged is lost"
    )
    left["/nowhere/kafka"] = 256 * MB
    now[0] += 1
    assert room.reasons() == ()


def test_the_disk_is_not_asked_for_every_request() -> None:
    collected: list[str] = []

    def free(folder: str) -> int:
        collected.append(folder)
        return 0

    room = Room(["/nowhere"], MB, free=free, clock=lambda: 5.0)
    assert [len(room.reasons()) for _ in range(100)] == [1] * 100
    assert collected == ["/nowhere"]


def test_a_disk_that_cannot_be_asked_refuses_nothing() -> None:
    def free(_folder: str) -> int:
        raise OSError("gone")

    assert Room(["/nowhere"], MB, free=free).reasons() == ()
