"""`weir down` ends the supervisor that it found, and no other process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local import daemon
from deploy.local.supervisor import StartError


def stopping(monkeypatch: pytest.MonkeyPatch, owners: list[int | None], ended: bool = False) -> list[int]:
    """The pids that get a signal while the lock's owners are ``owners``, one look after another."""
    killed: list[int] = []

    def kill(pid: int, _: int) -> None:
        killed.append(pid)
        if ended:
            raise ProcessLookupError(pid)

    monkeypatch.setattr(daemon, "_POLL_S", 0.0)
    monkeypatch.setattr(daemon, "lock_owner", lambda _: owners.pop(0) if len(owners) > 1 else owners[0])
    monkeypatch.setattr(os, "kill", kill)
    return killed


@pytest.mark.parametrize(
    ("owners", "killed"),
    [([None], []), ([7, 7, None], [7]), ([0, 7, 7, None], [7]), ([7, 0, None], [7]), ([7, 8], [7]), ([0, None], [])],
)
def test_one_signal_for_the_one_that_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owners: list[int | None], killed: list[int]
) -> None:
    running = owners[0] is not None
    found = stopping(monkeypatch, owners)
    assert daemon.down(tmp_path) == running
    assert found == killed


def test_who_ends_by_itself_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stopping(monkeypatch, [7, None], ended=True)
    assert daemon.down(tmp_path)


def test_a_pid_that_is_not_known_is_never_named_for_killing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = stopping(monkeypatch, [0])
    with pytest.raises(StartError, match="has not written its pid") as told:
        daemon.down(tmp_path, timeout_s=0.0)
    assert "kill" not in str(told.value)
    assert found == []
