"""What a machine without Java or Maven is told, and when Maven is asked at all."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from deploy.local import kafka

pytestmark = pytest.mark.integration

_POM = Path(kafka.__file__).with_name("pom.xml")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def fake(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def one_line(error: pytest.ExceptionInfo[kafka.KafkaError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_no_java(programs: Path) -> None:
    with pytest.raises(kafka.KafkaError) as error:
        kafka.java()
    assert one_line(error).startswith("java is missing: install a JRE of version 17 or later")


@pytest.mark.parametrize(("text", "version"), [("11.0.2", "11"), ("1.8.0_392", "8")])
def test_an_old_java(programs: Path, text: str, version: str) -> None:
    fake(programs / "java", f"echo 'openjdk version \"{text}\" 2020' >&2")
    with pytest.raises(kafka.KafkaError) as error:
        kafka.java()
    assert f"is version {version}: install a JRE of version 17 or later" in one_line(error)


def test_java_home_comes_first(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(programs / "java", "echo 'openjdk version \"11\"' >&2")
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    fake(home / "bin" / "java", "echo 'openjdk version \"21.0.1\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert kafka.java() == str(home / "bin" / "java")


def test_no_maven(programs: Path, tmp_path: Path) -> None:
    fake(programs / "java", "echo 'openjdk version \"17.0.15\"' >&2")
    with pytest.raises(kafka.KafkaError) as error:
        kafka.kafka_libs(tmp_path / "cache")
    assert one_line(error).startswith("mvn is missing: install Maven")


def test_a_failed_fetch_says_why_and_leaves_no_half_cache(programs: Path, tmp_path: Path) -> None:
    fake(programs / "java", "echo 'openjdk version \"17.0.15\"' >&2")
    fake(programs / "mvn", "echo '[ERROR] no route to the repository'; exit 1")
    with pytest.raises(kafka.KafkaError) as error:
        kafka.kafka_libs(tmp_path / "cache")
    assert "(" + "[ERROR] no route to the repository" + ")" in one_line(error)
    assert not (tmp_path / "cache" / "kafka-libs").exists()


def test_maven_is_asked_once_for_one_pom(programs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    real_mkdir = shutil.which("mkdir", path="/usr/bin:/bin")
    fake(programs / "java", "echo 'openjdk version \"17.0.15\"' >&2")
    fake(
        programs / "mvn",
        f'for a; do case $a in *=*) d=${{a#*=}};; esac; done; {real_mkdir} -p "$d"; : > "$d/kafka_1.jar"',
    )
    libs = kafka.kafka_libs(cache)
    assert (libs / "kafka_1.jar").exists()
    assert (libs / "pom.sha256").read_text() == hashlib.sha256(_POM.read_bytes()).hexdigest()
    (programs / "mvn").unlink()
    (programs / "java").unlink()
    assert kafka.kafka_libs(cache) == libs
    (libs / "pom.sha256").write_text("of an older pom")
    with pytest.raises(kafka.KafkaError, match="java is missing"):
        kafka.kafka_libs(cache)


def test_an_archive_of_classes_is_used_where_there_is_one(programs: Path, tmp_path: Path) -> None:
    fake(programs / "java", "echo 'openjdk version \"17.0.15\"' >&2")
    archive = tmp_path / kafka.ARCHIVE
    assert str(archive) not in " ".join(kafka.broker_command(tmp_path, tmp_path))
    archive.touch()  # what a set-up leaves that could not make it
    assert str(archive) not in " ".join(kafka.broker_command(tmp_path, tmp_path))
    archive.write_bytes(b"classes")
    assert f"-XX:SharedArchiveFile={archive}" in kafka.broker_command(tmp_path, tmp_path)
