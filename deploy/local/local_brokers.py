"""The brokers of one local stack: how many a folder has, their folders, names and ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local.kafka import BrokerNode, KafkaError, broker_command
from deploy.local.probes import kafka_answers
from deploy.local.process import ProcessSpec

SIZES: Final = (1, 3)
"""Numbers of brokers that a stack may have: two would keep records no better than one."""


def broker_folder(data_dir: Path, index: int) -> Path:
    """The folder of a stack's broker; ``index`` from 0 on."""
    return data_dir / broker_name(index)


def broker_name(index: int) -> str:
    """The process' name."""
    return f"kafka-{index}" if index else "kafka"


def broker_count(data_dir: Path, brokers: int | None) -> int:
    """How many brokers the stack has: ``brokers``, or as many as its folder began with (1 where it is new). Raises
    KafkaError where the two differ: replicas of what is there already would be missing."""
    begun = (broker_folder(data_dir, 0) / "cluster-id").exists()
    present = 3 if (broker_folder(data_dir, 2) / "server.properties").exists() else 1
    if brokers is None:
        return present if begun else 1
    if brokers not in SIZES:
        raise KafkaError(f"a stack has 1 broker or 3, not {brokers}")
    if begun and brokers != present:
        raise KafkaError(
            f"{data_dir} began with {present} broker{'s' if present > 1 else ''}, and its topics have as many replicas:"
            f" take another folder for {brokers} (WEIR_DATA_DIR), or leave --brokers out"
        )
    return brokers


def broker_nodes(data_dir: Path, ports: Sequence[int], controller_ports: Sequence[int]) -> list[BrokerNode]:
    """The nodes of a stack, a port of each kind for each."""
    pairs = zip(ports, controller_ports, strict=True)
    return [BrokerNode(index + 1, broker_folder(data_dir, index), *pair) for index, pair in enumerate(pairs)]


def broker_specs(libs: Path, nodes: Sequence[BrokerNode], env: Mapping[str, str]) -> list[ProcessSpec]:
    """The processes of the nodes. Raises KafkaError without Java."""
    return [
        ProcessSpec(
            broker_name(node.number - 1),
            broker_command(libs, node.folder),
            env,
            kafka_answers(node.port, node.number),
            stop_grace_s=10,
            ports={"broker": node.port, "controller": node.controller_port},
        )
        for node in nodes
    ]
