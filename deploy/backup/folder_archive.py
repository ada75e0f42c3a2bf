"""A stopped stack's folder as one file, and back: everything that no process can make anew, with a checksum of each
file.

The file is a tar: first a member for each folder, link and file, last ``weir-backup.json``, which lists them with their
sizes and SHA-256. What Kafka and ClickHouse acknowledged is in it, since a stopped process has written it; logs,
snapshots and the supervisor's own files are not. It holds the stack's keys and passwords.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from deploy.local.files import private_folder
from schemas.errors import WeirError

MANIFEST: Final = "weir-backup.json"
FORMAT: Final = 1
_FILES: Final = ("admin-key", "clickhouse-password", "clickhouse-analyst-password")
_FOLDERS: Final = ("clickhouse", "kafka", "kafka-1", "kafka-2")
_CHUNK: Final = 1024 * 1024


class BackupError(WeirError):
    """A backup cannot be made or restored; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of a backup: its path below the stack's folder, bytes and SHA-256 (hexadecimal)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. ``weir``: the release that wrote it; ``made``: when, RFC 3339."""

    format: int
    weir: str
    made: str
    files: tuple[ArchivedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def write_backup(folder: Path, target: Path, *, weir: str, made: str) -> Manifest:
    """Write the folder to ``target``, which must not exist. The caller holds the folder's lock, so that nothing runs
    on it. Raises BackupError, OSError."""
    places = [folder / name for name in (*_FILES, *_FOLDERS) if (folder / name).exists()]
    if not any(place.is_dir() for place in places):
        raise BackupError(f"{folder} holds no stack: WEIR_DATA_DIR names the folder of the one that is meant")
    fresh = target.with_name(target.name + ".part")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                manifest = Manifest(FORMAT, weir, made, tuple(_add_all(tar, folder, places)))
                text = json.dumps(asdict(manifest)).encode()
                head = tarfile.TarInfo(MANIFEST)
                head.size = len(text)
                tar.addfile(head, io.BytesIO(text))
            out.flush()
            os.fsync(out.fileno())
        # Linked and not renamed: a file of that name that came meanwhile stays.
        os.link(fresh, target)
    except FileExistsError:
        raise BackupError(f"{target} exists already: name another file, or remove it") from None
    finally:
        fresh.unlink(missing_ok=True)
    return manifest


def _add_all(tar: tarfile.TarFile, folder: Path, places: list[Path]) -> Iterator[ArchivedFile]:
    for place in places:
        for path in (place, *sorted(place.rglob("*"))) if place.is_dir() else (place,):
            name = path.relative_to(folder).as_posix()
            info = tar.gettarinfo(str(path), arcname=name)
            if info.islnk():  # ClickHouse's way to share a file between parts: in the backup each is whole
                info.type, info.linkname = tarfile.REGTYPE, ""
            if not (info.isreg() or info.isdir() or info.issym()):
                continue  # a socket or pipe of a process that is gone
            if not info.isreg():
                tar.addfile(info)
                continue
            with path.open("rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                reader = _Hashed(file)
                tar.addfile(info, reader)
            yield ArchivedFile(name, info.size, reader.digest())


class _Hashed(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        """Of what was read."""
        return self._hash.hexdigest()


def restore_backup(source: Path, folder: Path) -> Manifest:
    """Bring a backup into ``folder``, which must hold no stack, whole or not at all: what is written is compared with
    the backup's checksums before it is put in its place. The caller holds the folder's lock. Raises BackupError,
    OSError."""
    names = (*_FILES, *_FOLDERS)
    if present := [name for name in names if (folder / name).exists()]:
        raise BackupError(
            f"{folder} holds a stack already ({present[0]}): restore into a new folder (WEIR_DATA_DIR), or move it away"
        )
    fresh = folder / "restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh)
    try:
        manifest = _extract(source, fresh)
        if foreign := sorted({path.name for path in fresh.iterdir()} - set(names)):
            raise BackupError(f"{source} has a member {foreign[0]}: this is no backup as Weir wrote it")
        # Kafka last: a folder without it is not taken for a whole one.
        for place in sorted(fresh.iterdir(), key=lambda path: names.index(path.name)):
            place.rename(folder / place.name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def _extract(source: Path, fresh: Path) -> Manifest:
    written: dict[str, tuple[int, str]] = {}
    text: bytes | None = None
    try:
        with tarfile.open(source, mode="r:") as tar:
            for member in tar:
                if member.name == MANIFEST:
                    file = tar.extractfile(member)
                    text = None if file is None else file.read()
                    continue
                target = _inside(fresh, member.name)
                if member.isdir():
                    target.mkdir(mode=0o700, parents=True, exist_ok=True)
                elif member.issym():
                    _inside(fresh, (PurePosixPath(member.name).parent / member.linkname).as_posix())
                    target.symlink_to(member.linkname)
                elif member.isreg() and (file := tar.extractfile(member)) is not None:
                    written[member.name] = _write(file, target)
                else:
                    raise BackupError(
                        f"{source}: {member.name} is neither file nor folder: this is no backup of Weir's"
                    )
    except tarfile.TarError as error:
        raise BackupError(f"{source} cannot be read to its end ({error}): take another copy of it") from None
    if text is None:
        raise BackupError(f"{source} ends before {MANIFEST}: it was cut off, or is no backup; take another copy of it")
    manifest = _manifest(source, text)
    for archived in manifest.files:
        if written.pop(archived.path, None) != (archived.size, archived.sha256):
            raise BackupError(f"{source}: {archived.path} is not what was backed up: take another copy of the backup")
    if written:
        raise BackupError(f"{source}: {min(written)} is not in its {MANIFEST}: this is no backup as Weir wrote it")
    return manifest


def _inside(fresh: Path, name: str) -> Path:
    path = Path(os.path.normpath(fresh / name))
    if PurePosixPath(name).is_absolute() or not path.is_relative_to(fresh) or path == fresh:
        raise BackupError(f"the backup has a member {name}, which leads out of the folder: it is none of Weir's")
    if path.parent.resolve() != path.parent.absolute() and not path.parent.resolve().is_relative_to(fresh.resolve()):
        raise BackupError(f"the backup has a member {name} behind a link: it is none of Weir's")
    return path


def _write(file: IO[bytes], target: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while data := file.read(_CHUNK):
            digest.update(data)
            size += len(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return size, digest.hexdigest()


def _manifest(source: Path, text: bytes) -> Manifest:
    try:
        raw: dict[str, Any] = json.loads(text)
        if raw["format"] != FORMAT:
            raise BackupError(f"{source} is a backup of format {raw['format']}: restore it with Weir {raw['weir']}")
        files = tuple(ArchivedFile(**file) for file in raw["files"])
        return Manifest(raw["format"], raw["weir"], raw["made"], files)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source}: {MANIFEST} cannot be read ({error}): take another copy of it") from None
