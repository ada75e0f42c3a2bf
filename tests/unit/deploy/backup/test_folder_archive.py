"""A backup holds every byte that counts, and a damaged or foreign one leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from deploy.backup.folder_archive import MANIFEST, BackupError, restore_backup, write_backup


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder as a stopped stack leaves it."""
    folder = tmp_path / "stack"
    for name, text in {
        "admin-key": "weir_admin_x\n",
        "kafka/cluster-id": "w1",
        "kafka/log/usage.events.1-0/00000000000000000000.log": "records" * 1000,
        "clickhouse/store/a/part/data.bin": "rows",
        "clickhouse/store/empty": "",
        "logs/gateway.log": "left out",
        "snapshots/invoices": "left out",
        "stack.json": "{}",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "clickhouse/data/weir").mkdir(parents=True)
    (folder / "clickhouse/data/weir/table").symlink_to("../../store/a")
    os.link(folder / "clickhouse/store/a/part/data.bin", folder / "clickhouse/store/a/data2.bin")
    return folder


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below the folder."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_what_comes_back_is_what_was_there(stack: Path, tmp_path: Path) -> None:
    target, restored = tmp_path / "backup.tar", tmp_path / "restored"
    restored.mkdir()
    (restored / "kafka-libs").mkdir()  # what a set-up keeps there
    manifest = write_backup(stack, target, weir="1.0", made="2026-11-30T00:00:00Z")
    assert target.stat().st_mode & 0o777 == 0o600
    assert restore_backup(target, restored) == manifest
    kept = {name: data for name, data in contents(stack).items() if not name.startswith(("logs/", "snap", "stack"))}
    assert contents(restored) == kept
    assert (restored / "clickhouse/data/weir/table/part/data.bin").read_text() == "rows"
    assert len(manifest.files) == len(kept) - 1  # the link
    with pytest.raises(BackupError, match="exists already"):
        write_backup(stack, target, weir="1.0", made="")
    with pytest.raises(BackupError, match=r"holds a stack already \(admin-key\)"):
        restore_backup(target, restored)
    with pytest.raises(BackupError, match="holds no stack"):
        write_backup(tmp_path / "logs", tmp_path / "other.tar", weir="1.0", made="")


def test_one_wrong_byte_anywhere_is_found_and_nothing_is_left(stack: Path, tmp_path: Path) -> None:
    whole = tmp_path / "backup.tar"
    write_backup(stack, whole, weir="1.0", made="")
    data = whole.read_bytes()
    place = data.index(b"recordsrecords")
    target = tmp_path / "restored"
    for damaged in (
        data[:place] + b"R" + data[place + 1 :],
        data[: len(data) // 2],
        data[: data.index(b'{"format"')],
        b"",
    ):
        broken = tmp_path / "broken.tar"
        broken.write_bytes(damaged)
        target.mkdir(exist_ok=True)
        with pytest.raises(BackupError, match=r"broken\.tar"):
            restore_backup(broken, target)
        assert list(target.iterdir()) == []


def test_nothing_leads_out_of_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for number, members in enumerate((
        [("../out/x", None)], [(str(out / "x"), None)], [("kafka/link", "../../out"), ("kafka/link/x", None)],
        [("kafka/link", str(out))], [("elsewhere", None)], [("kafka/x", None)],
    )):  # fmt: skip
        evil = tmp_path / f"evil{number}.tar"
        with tarfile.open(evil, "w") as tar:
            for name, link in members:
                info = tarfile.TarInfo(name)
                if link is not None:
                    info.type, info.linkname = tarfile.SYMTYPE, link
                tar.addfile(info, io.BytesIO())
            text = json.dumps({"format": 1, "weir": "1", "made": "", "files": []}).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        target = tmp_path / f"target{number}"
        target.mkdir()
        with pytest.raises(BackupError):
            restore_backup(evil, target)
        assert (list(out.iterdir()), list(target.iterdir())) == ([], [])
