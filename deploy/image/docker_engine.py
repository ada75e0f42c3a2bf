"""A Docker engine of one's own without a registry of images: its start, a base image of a debootstrap tree, a build."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import WeirError

ROOT: Final = Path(__file__).resolve().parents[2]
_BASE: Final = "weir-trial-base"
_STILL_SECONDS: Final = 180


class TrialError(WeirError):
    """A step did not do what it should; the message has its last words."""


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """A Docker engine at a socket of its own."""

    socket: Path

    def run(self, *command: str, given: bytes | None = None, environment: Mapping[str, str] | None = None) -> str:
        """The output of a command that talks to it. Raises TrialError."""
        env = os.environ | {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "1"} | dict(environment or {})
        ended = subprocess.run(  # noqa: S603  # commands of this file
            command, input=given, env=env, cwd=ROOT, capture_output=True, check=False
        )
        if ended.returncode:
            raise TrialError(f"{' '.join(command)[:200]}: {ended.returncode}: {ended.stderr.decode()[-3000:]}")
        return ended.stdout.decode()


def say(text: str) -> None:
    """What was seen, at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)  # noqa: T201


def until(what: str, state: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Wait for a state that is as it should be. Raises TrialError once it has not changed for three minutes."""
    last, since = state(), time.monotonic()
    while not done(last):
        if time.monotonic() - since > _STILL_SECONDS:
            raise TrialError(f"{what}: it stands still at {last}")
        time.sleep(1)
        if (now := state()) != last:
            last, since = now, time.monotonic()
    return last


@contextmanager
def engine(folder: Path) -> Iterator[DockerEngine]:
    """A Docker engine while the block lasts. Raises TrialError."""
    socket = folder / "docker.sock"
    names = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid"}
    flags = [f"--{flag}={folder / name}" for flag, name in names.items()]
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(  # noqa: S603
            ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", f"--host=unix://{socket}", *flags],  # noqa: S607
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        found = DockerEngine(socket)
        until("dockerd", lambda: (socket.exists(), daemon.poll()), lambda state: state[0] or state[1] is not None)
        until("dockerd answers", lambda: _answers(found), bool)
        say("dockerd " + found.run("/usr/bin/docker", "version", "--format", "{{.Server.Version}}").strip())
        yield found
    finally:
        daemon.terminate()
        daemon.wait(60)
        # The daemon leaves the host's network mounted there, and a folder with a mount cannot be removed.
        unmount = ["umount", str(folder / "exec" / "netns" / "default")]
        subprocess.run(unmount, check=False, capture_output=True)  # noqa: S603


def _answers(found: DockerEngine) -> bool:
    try:
        return bool(found.run("/usr/bin/docker", "info", "--format", "{{.ID}}"))
    except TrialError:
        return False


def base_image(found: DockerEngine, folder: Path) -> None:
    """A minimal Debian with Python, as an image."""
    tree = folder / "tree"
    include = "--include=ca-certificates,python3,python3-venv"
    found.run("debootstrap", "--variant=minbase", include, "bookworm", str(tree))
    for cache in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(tree / cache, ignore_errors=True)
    archive = folder / "tree.tar"
    found.run("tar", "-c", "-f", str(archive), "-C", str(tree), ".")
    found.run("/usr/bin/docker", "import", str(archive), _BASE)
    say(f"{_BASE} imported from a debootstrap tree")


def build(found: DockerEngine, tag: str, pip_conf: Path | None, ca: Path | None) -> None:
    """The image, with settings of pip that no layer keeps."""
    secret_files = {"pip.conf": pip_conf, "ca": ca}
    given = [f"id={name},src={path}" for name, path in secret_files.items() if path is not None]
    options = [part for text in given for part in ("--secret", text)]
    options += [
        "--network",
        "host",
        "--build-arg",
        f"PYTHON_IMAGE={_BASE}",
        "--build-arg",
        "SOURCE_DATE_EPOCH=1700000000",
    ]
    found.run("/usr/bin/docker", "build", *options, "-f", "deploy/Dockerfile", "-t", tag, ".")
    [shown] = json.loads(found.run("/usr/bin/docker", "image", "inspect", tag))
    say(f"{tag} built: {shown['Size'] / 1e6:.0f} MB with its base; layers {' '.join(shown['RootFS']['Layers'])}")
