"""Files of a stack's folder: whole or not at all, for their owner alone, and clear words for what an older version
left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deploy.local.files import BrokenFileError, private_folder, write_whole
from deploy.local.process import ProcessSpec
from deploy.local.stack_secrets import admin_key, analyst_password, clickhouse_password
from deploy.local.stack_state import ProcessState, StackState, lock_data_dir, read_state, write_state
from deploy.local.supervisor import Supervisor


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_on_disk_before_it_takes_the_olds_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("sync"), sync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda path, target: (steps.append("rename"), replace(path, target))[1])
    write_whole(tmp_path / "a", "text")
    assert steps == ["sync", "rename", "sync"]
    assert ((tmp_path / "a").read_text(), mode(tmp_path / "a")) == ("text", 0o600)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a", "old")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.parametrize("make", [admin_key, clickhouse_password, analyst_password])
def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path, make: object) -> None:
    assert callable(make)
    folder = tmp_path / "stack"
    secret = make(folder)
    assert make(folder) == secret
    assert len(secret) > 30
    (file,) = folder.iterdir()
    assert (mode(file), mode(folder)) == (0o600, 0o700)


@pytest.mark.parametrize("text", ["", "\n", "weir_adm", "weir_admin_abc", "weir_admin_ab\0\0\n", "weir_admin_a b\n"])
def test_an_empty_or_half_written_key_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "admin-key").write_text(text)
    with pytest.raises(
        BrokenFileError, match=r"admin-key is empty or half-written .*: put the key .* or delete the file"
    ):
        admin_key(tmp_path)


@pytest.mark.parametrize("text", ["my-own-key", "my-own-key\n", "weir_admin_abc\n"])
def test_a_key_that_somebody_put_there_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "admin-key").write_text(text)
    assert admin_key(tmp_path) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "{", '{"pid": 1', "[]", '{"pid": 1, "ready": true, "settings": {}, "processes": {"a": {"b": 1}}}']
)
def test_a_broken_stack_json_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    with lock_data_dir(tmp_path):
        (tmp_path / "stack.json").write_text(text)
        with pytest.raises(BrokenFileError, match=r"stack\.json is empty.*`weir down` and `weir up`"):
            read_state(tmp_path)


def test_a_state_comes_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    state = StackState(os.getpid(), True, {"WEIR_X": "y"}, {"a": ProcessState("ready", 7)})
    with lock_data_dir(tmp_path / "stack"):
        write_state(tmp_path / "stack", state)
        assert read_state(tmp_path / "stack") == state
    assert (mode(tmp_path / "stack"), mode(tmp_path / "stack" / "stack.json")) == (0o700, 0o600)


def test_a_folder_that_others_may_read_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir(mode=0o755)
    private_folder(folder)
    assert mode(folder) == 0o700


def test_a_folder_that_belongs_to_all_stays_open(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    private_folder(folder)
    assert mode(folder) == 0o1777


def test_a_supervisor_lives_on_a_disk_that_takes_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = [True]

    def write(data_dir: Path, state: StackState) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        write_state(data_dir, state)

    monkeypatch.setattr("deploy.local.supervisor.write_state", write)
    supervisor = Supervisor(tmp_path, [ProcessSpec("idle", ("sleep", "60"))], {})
    supervisor.start(lambda *_: write(tmp_path, supervisor.state()))
    try:
        supervisor.check()
        assert supervisor.state().processes["idle"].phase == "ready"
        full[0] = False
        supervisor.restart("idle")
        supervisor.wait_ready("idle")
        state = read_state(tmp_path)
        assert state is not None
        assert state.processes["idle"].pid == supervisor.pid("idle")
    finally:
        supervisor.stop()
