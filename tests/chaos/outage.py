"""``python -m tests.chaos.outage``: ClickHouse is away for minutes while producers go on; what pauses, what grows, what
drains.

The first half of the outage refuses every connection, the second lets every request hang. Prints memory and lag as it
goes. Exit code 0: nothing was metered meanwhile, no process was restarted or grew by more than ``GROWTH_MIB``, and all
of it was metered once afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.stack import Stack
from rating.close.checkpoint import end_offsets
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import read_progress
from tests.chaos.faulty.proxy import Proxy
from tests.chaos.ledger import Ledger
from tests.chaos.memory import Sampler
from tests.chaos.run import verdict_of
from tests.chaos.site import Site

GROWTH_MIB: Final = 128
"""What a process may take more than before the outage, however long that lasts."""
WATCHED: Final = ("worker-0", "gateway")
_EVERY: Final = 15


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. ``metered`` and ``lag`` count packed batches; ``mib``: resident memory by process."""

    second: int
    phase: str
    acknowledged: int
    metered: int
    lag: int
    mib: dict[str, int]

    def line(self) -> str:
        """For people."""
        memory = "  ".join(f"{name} {self.mib.get(name, 0):>4} MiB" for name in WATCHED)
        return (
            f"{self.second:>5} s  {self.phase:<8} acknowledged {self.acknowledged:>9,}  lag "
            f"{self.lag:>7,} batches  {memory}"
        )


class Watch:
    """Looks at one stack each second, on ClickHouse's own port, and prints a line now and then."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self._stack, self._ledger = stack, ledger
        self._memory = Sampler(stack)
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    def during(self, phase: str, seconds: float, until: Callable[[Sample], bool] = lambda _: False) -> list[Sample]:
        """The phase's samples: for so long, or until one is as wanted."""
        mine: list[Sample] = []
        deadline = time.monotonic() + seconds
        while not mine or (time.monotonic() < deadline and not until(mine[-1])):
            mine.append(self._look(phase))
            if len(mine) % _EVERY == 1:
                print(mine[-1].line(), flush=True)
            time.sleep(1.0)  # between two samples
        print(mine[-1].line(), flush=True)
        self.samples += mine
        return mine

    def _look(self, phase: str) -> Sample:
        client = connect(self._stack.settings)
        try:
            progress = read_progress(client)
        finally:
            client.close()
        ends = sum(end_offsets(self._stack.settings).values())
        metered = sum(progress.values())
        acknowledged = self._ledger.counts().get("copies acknowledged", 0)
        second = round(time.monotonic() - self._began)
        return Sample(second, phase, acknowledged, metered, ends - metered, self._memory.now())


def run(minutes: float, folder: Path) -> dict[str, Any]:
    """The scenario, as JSON; ``problems`` are sentences, none where all is well."""
    with ExitStack() as ends:
        proxy = Proxy(1)
        stack = Stack(folder, ports="free", worker_env={"WEIR_CLICKHOUSE_PORT": str(proxy.port)})
        proxy.start(stack.settings.clickhouse_port)
        ends.callback(proxy.stop)
        ends.enter_context(stack)
        site, ledger, stop = Site(stack), Ledger(), threading.Event()
        site.declare()
        ends.callback(stop.set)
        senders = site.senders(1, ledger, stop, pace=0.25, patience=120)
        for sender in senders:
            sender.start()
        watch = Watch(stack, ledger)
        before = watch.during("before", 30)
        pids = {name: stack.pid(name) for name in WATCHED}
        proxy.set("refuse")
        away = watch.during("refuses", minutes * 30)
        proxy.set("stall")
        away += watch.during("stalls", minutes * 30)
        proxy.set("pass")
        usual = max(sample.lag for sample in before)
        drains = watch.during("drains", 900, lambda sample: sample.lag <= usual)
        stop.set()
        for sender in senders:
            sender.join(150)
        verdict = verdict_of(stack, ledger, 120, print)
        after = watch.during("after", 5)
        problems = [*ledger.problems(), *judge(before, away, drains, after)]
        problems += [f"{name} was restarted" for name, pid in pids.items() if stack.pid(name) != pid]
        if not verdict.clean:
            problems.append(f"the audit found {verdict}")
    sent = [sample.acknowledged for sample in (away[0], away[-1], drains[-1])]
    return {
        "problems": problems,
        "minutes": minutes,
        "acknowledged_meanwhile": sent[1] - sent[0],
        "lag_at_the_end": away[-1].lag,
        "drain_seconds": drains[-1].second - drains[0].second,
        "memory": memory_of(before, away, drains, after),
        "verdict": asdict(verdict),
        "samples": [asdict(sample) for sample in watch.samples],
    }


def memory_of(*phases: Sequence[Sample]) -> dict[str, list[int]]:
    """Peak MiB by process: before the outage, during it, while draining, after."""
    return {name: [max(sample.mib.get(name, 0) for sample in phase) for phase in phases] for name in WATCHED}


def judge(
    before: Sequence[Sample], away: Sequence[Sample], drains: Sequence[Sample], after: Sequence[Sample]
) -> list[str]:
    """What is wrong with the phases' samples: pure."""
    problems = []
    # What had been handed to ClickHouse when it went away may still have been written.
    if len({sample.metered for sample in away[3:]}) > 1:
        problems.append("progress moved although ClickHouse was away")
    if away[-1].acknowledged <= away[0].acknowledged:
        problems.append("producers could not go on")
    if drains[-1].lag > max(sample.lag for sample in before):
        problems.append(f"{drains[-1].lag} batches were not drained in time")
    for name, (at_first, *later) in memory_of(before, away, drains, after).items():
        if max(later) > at_first + GROWTH_MIB:
            problems.append(f"{name} grew from {at_first} MiB to {max(later)} MiB")
    return problems


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outage", description="ClickHouse away for minutes")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--json", type=Path, help="write the result with all samples here")
    parser.add_argument(
        "--data-dir", type=Path, help="keep the stack's data and logs here; by default a temporary folder"
    )
    given = parser.parse_args()
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="weir-outage-") as temporary:
        result = run(given.minutes, given.data_dir or Path(temporary))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    for name, peaks in result["memory"].items():
        print(f"{name}: peak MiB before {peaks[0]}, during {peaks[1]}, draining {peaks[2]}, after {peaks[3]}")
    print(
        f"{result['acknowledged_meanwhile']:,} events acknowledged meanwhile, {result['lag_at_the_end']:,} "
        "batches behind, "
        f"drained in {result['drain_seconds']} s; lost {result['verdict']['lost']}, double "
        f"{result['verdict']['double']}"
    )
    for problem in result["problems"]:
        print(f"WRONG: {problem}")
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
