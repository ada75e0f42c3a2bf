"""Apache Kafka of the local stack: its jars by Maven, and one KRaft node, or three, that are broker and controller at
once.

Data lives under one folder and survives a restart, other ports and ``kill -9``: acknowledged records are in the
operating system's cache, which outlives the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import WeirError
from schemas.values.base64url import base64url

ARCHIVE = "kafka.jsa"
"""Name, beside the jars, of the archive that class_archive.py makes of their classes."""
_POM = Path(__file__).with_name("pom.xml")
# A JVM's start takes a second, and minutes on a machine that has no processor left for it.
_LIMIT_S = 600
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
unclean.leader.election.enable=false
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=1000
metadata.max.idle.interval.ms=0
broker.session.timeout.ms=3000
num.network.threads=2
num.io.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=16777216
"""
# Between several nodes: a machine without a processor to spare keeps a controller waiting for seconds, and by the usual
# 1 and 2 s one election would follow the other.
_QUORUM = """\
controller.quorum.election.timeout.ms=3000
controller.quorum.fetch.timeout.ms=5000
broker.session.timeout.ms=6000
"""
# A broker for one machine, started often: the second compiler (C2) works for minutes on code that such a broker runs
# for seconds, and a heap of this size needs no collector with threads of its own. Nobody reads the counters that a JVM
# samples 20 times a second for jstat.
_LIGHT = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class KafkaError(WeirError):
    """Kafka cannot be set up; the message is one line that says what to do."""


def java() -> str:
    """Path of a Java of version 17 or later, $JAVA_HOME's first. Raises KafkaError where there is none."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    program = program or shutil.which("java")
    remedy = "install a JRE of version 17 or later (Debian: apt-get install openjdk-17-jre-headless)"
    if program is None:
        raise KafkaError(f"java is missing: {remedy}")
    text = _run([program, "-version"], _LIMIT_S).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', text)
    if version is None or int(version.group(1)) < 17:
        raise KafkaError(f"{program} is version {version.group(1) if version else 'unknown'}: {remedy}")
    return program


def kafka_libs(cache_dir: Path) -> Path:
    """Folder with Kafka's jars, ``cache_dir``/kafka-libs; fetched by Maven only when pom.xml has changed.

    Safe to call from several processes at once. Raises KafkaError where Maven is missing or fails.
    """
    libs = cache_dir / "kafka-libs"
    stamp = libs / "pom.sha256"
    digest = hashlib.sha256(_POM.read_bytes()).hexdigest()
    if _read(stamp) == digest:
        return libs
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "kafka-libs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(stamp) == digest:
            return libs
        java()
        maven = shutil.which("mvn")
        if maven is None:
            raise KafkaError("mvn is missing: install Maven 3.8 or later (Debian: apt-get install maven)")
        fresh = cache_dir / "kafka-libs.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [maven, "-B", "-q", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        done = _run(command, 1800)
        if done.returncode != 0 or not list(fresh.glob("kafka_*.jar")):
            reason = next((line for line in done.stdout.splitlines() if "[ERROR]" in line), "no jar arrived")
            raise KafkaError(f"Maven could not fetch Kafka's jars ({reason.strip()}): run {' '.join(command)}")
        shutil.rmtree(libs, ignore_errors=True)
        (fresh / stamp.name).write_text(digest)
        fresh.rename(libs)
    return libs


def broker_command(libs: Path, data_dir: Path) -> tuple[str, ...]:
    """The broker's command line over a folder that ``prepare_broker`` has prepared. Raises KafkaError without Java."""
    command = _jvm(libs, data_dir)
    return (command[0], *_LIGHT, *command[1:], "kafka.Kafka", str(data_dir.absolute() / "server.properties"))


@dataclass(frozen=True, slots=True)
class BrokerNode:
    """One node of a cluster on this machine. ``number``: from 1 on; ``folder``: of all that is its own; both ports are
    of loopback."""

    number: int
    folder: Path
    port: int
    controller_port: int


def prepare_broker(libs: Path, data_dir: Path, port: int, controller_port: int) -> None:
    """``prepare_nodes`` of a cluster that is one node."""
    prepare_nodes(libs, [BrokerNode(1, data_dir, port, controller_port)])


def prepare_nodes(libs: Path, nodes: Sequence[BrokerNode]) -> None:
    """Write the configurations of a whole cluster, and format the storage of nodes that are new. Three nodes keep three
    copies of each record, of which two are there before it is acknowledged.

    A node's folder holds everything of it: configuration and log, the first one's also the cluster's id. Raises
    KafkaError where Java is missing or a storage cannot be formatted.
    """
    cluster_file = nodes[0].folder.absolute() / "cluster-id"
    cluster = _read(cluster_file)
    if cluster is None:
        cluster = base64url(uuid.uuid4().bytes)
        # A leading dash would read as an option of the storage tool.
        cluster = "w" + cluster[1:]
        cluster_file.parent.mkdir(parents=True, exist_ok=True)
        cluster_file.write_text(cluster)
    for node in nodes:
        _prepare(libs, node, nodes, cluster)


def _prepare(libs: Path, node: BrokerNode, nodes: Sequence[BrokerNode], cluster: str) -> None:
    data_dir = node.folder.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    log_dir = data_dir / "log"
    properties, logging = data_dir / "server.properties", data_dir / "log4j2.properties"
    text = _PROPERTIES.format(
        node=node.number,
        port=node.port,
        controller_port=node.controller_port,
        log_dir=log_dir,
        voters=",".join(f"{voter.number}@127.0.0.1:{voter.controller_port}" for voter in nodes),
        replicas=min(len(nodes), 3),
        in_sync=2 if len(nodes) >= 3 else 1,
    )
    properties.write_text(text + _QUORUM if len(nodes) > 1 else text)
    logging.write_text(_LOGGING)
    if not (log_dir / "meta.properties").exists():
        command = [*_jvm(libs, data_dir), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
        command.append("--ignore-formatted")
        done = _run(command, _LIMIT_S)
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise KafkaError(f"Kafka's storage in {log_dir} cannot be formatted: {' '.join(reason)}")


def _jvm(libs: Path, data_dir: Path) -> tuple[str, ...]:
    logging = data_dir.absolute() / "log4j2.properties"
    archive = libs / ARCHIVE
    size = archive.stat().st_size if archive.exists() else 0
    # Said of another JVM's or other jars' archive, which is left aside: nothing that anybody could act on.
    mapped = (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds*=off") if size else ()
    return (java(), *mapped, "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging}", "-cp", f"{libs}/*")


def broker_ready(bootstrap: str, number: int = 1) -> bool:
    """Whether the broker answers a metadata request and counts itself as alive."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 1000})
    try:
        return number in admin.list_topics(timeout=1).brokers
    except KafkaException:
        return False


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    # Fixed programs with arguments of our own; there is no shell.
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise KafkaError(f"no end after {seconds:.0f} s: {' '.join(command)}") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
