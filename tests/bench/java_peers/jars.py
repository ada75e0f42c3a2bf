"""Builds the Java peers by Maven, once for each state of their sources, into build/java-peers."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
_LIMIT_S = 1_800


class BuildError(Exception):
    """The peers cannot be built; the message says what to do."""


def digest(folder: Path) -> str:
    """SHA-256 of all sources of the peers: what is built from them is theirs alone."""
    sources = sorted(path for pattern in ("*.java", "pom.xml") for path in folder.rglob(pattern))
    whole = hashlib.sha256()
    for path in sources:
        content = path.read_bytes()
        whole.update(f"{path.relative_to(folder)}\n{len(content)}\n".encode() + content)
    return whole.hexdigest()


def build(out: Path) -> Path:
    """``out``, which holds MODULE/libs with all jars of each module; built again only where a source has changed.

    The jars come from where Maven is set up to fetch them, and Maven holds each against its checksum (``-C``). Raises
    BuildError where Maven is missing or fails.
    """
    stamp, sources = out / "sources.sha256", digest(HERE)
    if stamp.exists() and stamp.read_text() == sources:
        return out
    maven = shutil.which("mvn")
    if maven is None or shutil.which("javac") is None:
        raise BuildError(
            "the Java peers need Maven 3.8 and a JDK of version 17 or later (Debian: maven, openjdk-17-jdk)"
        )
    shutil.rmtree(out, ignore_errors=True)
    command = [maven, "-B", "-q", "-C", "-f", str(HERE / "pom.xml"), f"-Dpeers.out={out.resolve()}", "package"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode != 0:
        reason = next((line for line in done.stdout.splitlines() if "[ERROR]" in line), done.stdout[-500:])
        raise BuildError(f"Maven could not build the Java peers ({reason.strip()}): run {' '.join(command)}")
    stamp.write_text(sources)
    return out
