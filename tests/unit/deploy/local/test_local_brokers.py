"""A stack keeps the number of brokers that it began with, since its topics have as many replicas."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.kafka import KafkaError
from deploy.local.local_brokers import broker_count, broker_folder, broker_nodes


def begin(folder: Path, brokers: int) -> None:
    """What ``prepare_nodes`` leaves of so many nodes."""
    for index in range(brokers):
        broker_folder(folder, index).mkdir(parents=True)
        (broker_folder(folder, index) / "server.properties").touch()
    (broker_folder(folder, 0) / "cluster-id").touch()


@pytest.mark.parametrize("brokers", [1, 3])
def test_a_folder_keeps_the_number_that_it_began_with(tmp_path: Path, brokers: int) -> None:
    assert broker_count(tmp_path, None) == 1
    assert broker_count(tmp_path, 3) == 3
    begin(tmp_path, brokers)
    assert (broker_count(tmp_path, None), broker_count(tmp_path, brokers)) == (brokers, brokers)
    with pytest.raises(KafkaError, match=rf"began with {brokers} broker.*WEIR_DATA_DIR"):
        broker_count(tmp_path, 4 - brokers)
    for wrong in (0, 2, 4):
        with pytest.raises(KafkaError, match="1 broker or 3"):
            broker_count(tmp_path, wrong)


def test_each_node_has_a_folder_a_number_and_ports_of_its_own(tmp_path: Path) -> None:
    nodes = broker_nodes(tmp_path, (1, 2, 3), (4, 5, 6))
    assert [(node.number, node.folder.name, node.port, node.controller_port) for node in nodes] == [
        (1, "kafka", 1, 4), (2, "kafka-1", 2, 5), (3, "kafka-2", 3, 6),
    ]  # fmt: skip
