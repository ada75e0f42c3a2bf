"""One chaos run, top to bottom: a stack of its own, producers, rounds of faults, and the verdict."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.stack import ALL, Stack
from deploy.local.supervisor import StartError
from tests.chaos import faults
from tests.chaos.acknowledged import Acknowledged
from tests.chaos.audit import Verdict, audit, missing
from tests.chaos.faulty.proxy import Proxy
from tests.chaos.ledger import Ledger
from tests.chaos.memory import Sampler
from tests.chaos.recovery import Probes, Unrecovered
from tests.chaos.report import Report, Struck
from tests.chaos.schedule import Fault, schedule
from tests.chaos.site import Site

WORKERS: Final = 3
GATEWAYS: Final = 2
WORKER_MIB: Final = 700
"""More than this in a worker or a gateway is a problem: something grows."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """``pace``: seconds between two batches of a producer. ``patience``: seconds for one recovery."""

    seed: int
    faults: int
    data_dir: Path
    session_timeout: float = 2.5
    pace: float = 0.25
    patience: float = 300.0


def run(options: Options, say: Say) -> Report:
    """Run it; the report says whether it passed. Raises what the start of the stack raises."""
    began = time.monotonic()
    report = Report(options.seed)
    with ExitStack() as ends:
        proxy = Proxy(options.seed)
        stack = Stack(
            options.data_dir,
            ports="free",
            workers=WORKERS,
            gateways=GATEWAYS,
            worker_env={
                "WEIR_CLICKHOUSE_PORT": str(proxy.port),
                "WEIR_WORKER_SESSION_TIMEOUT": str(options.session_timeout),
            },
            worker_module="tests.chaos.faulty.stuck_worker",
            processes=ALL,  # that of webhooks evaluates alerts
            overrides={"checkpoint_seconds": 3, "flush_seconds": 0.2},
        )
        proxy.start(stack.settings.clickhouse_port)
        ends.callback(proxy.stop)
        ends.enter_context(stack)
        say(f"the stack is up after {time.monotonic() - began:.1f} s; seed {options.seed}, {options.faults} faults")
        site = Site(stack)
        site.declare()
        memory = Sampler(stack)
        memory.start()
        ends.callback(memory.stop)
        acknowledged = Acknowledged(stack.settings)
        acknowledged.start()
        ends.callback(acknowledged.stop)
        ledger = Ledger()
        stop = threading.Event()
        ends.callback(stop.set)
        senders = site.senders(options.seed, ledger, stop, pace=options.pace, patience=options.patience)
        for sender in senders:
            sender.start()
        _strike(options, stack, proxy, site.probes(options.patience), report, say)
        stop.set()
        for sender in senders:
            sender.join(options.patience + 30)
            if sender.is_alive():
                report.problems.append(f"{sender.name} does not end")
        report.problems += ledger.problems()
        report.verdict = verdict_of(stack, ledger, options.patience, say)
        acknowledged.stop()
        report.problems += acknowledged.problems
        report.acknowledgements = acknowledged.compared
        memory.stop()
        report.peak_mib = dict(memory.peak_mib)
        report.problems += [
            f"{name} took {mib} MiB of memory; {WORKER_MIB} are the limit"
            for name, mib in report.peak_mib.items()
            if name.startswith(("worker", "gateway")) and mib > WORKER_MIB
        ]
        asked = Counter(one.target for one in report.faults if one.label.startswith(("kill", "restart")))
        report.restarts = {name: one.restarts - asked[name] for name, one in stack.state().processes.items()}
        report.producers = ledger.counts()
        report.proxy_hits = proxy.hits
        report.checkpoints = site.checkpoints()
        # Nothing is kept: all at once is quicker than one gentle stop after another.
        for name in stack.state().processes:
            stack.kill(name)
    report.seconds = time.monotonic() - began
    return report


def _strike(options: Options, stack: Stack, proxy: Proxy, probes: Probes, report: Report, say: Say) -> None:
    rounds = schedule(
        options.seed, options.faults, workers=WORKERS, gateways=GATEWAYS, session_timeout=options.session_timeout
    )
    site = Site(stack)
    with ThreadPoolExecutor(8, thread_name_prefix="fault") as pool:
        for number, faults_of_round in enumerate(rounds, 1):
            began = time.monotonic()
            running: list[tuple[Fault, Future[float]]] = []
            for fault in faults_of_round:
                _until(began + fault.after)
                running.append((fault, pool.submit(_one, fault, stack, proxy, probes, site)))
            for fault, future in running:
                struck = Struck(fault.label, fault.target)
                report.faults.append(struck)
                try:
                    struck.recovery_s = round(future.result(), 2)
                except (Unrecovered, StartError) as error:
                    report.problems.append(f"{fault.label} ({fault.target}): {error}")
            told = ", ".join(f"{fault.label} {fault.target}" for fault in faults_of_round)
            slowest = max((one.recovery_s or 0.0 for one in report.faults[-len(running) :]), default=0.0)
            say(f"round {number}/{len(rounds)}: {told}: recovered in {slowest:.1f} s")
            if report.problems:
                say(f"stopped: {report.problems[-1]}")
                return


def _one(fault: Fault, stack: Stack, proxy: Proxy, probes: Probes, site: Site) -> float:
    end = faults.begin(fault, stack, proxy)
    try:
        _until(time.monotonic() + fault.seconds)
    finally:
        end()
    gateway = [url for url, name in zip(site.urls, _GATEWAY_NAMES, strict=True) if name == fault.target]
    return probes.recovered(gateway or site.urls, site.rating)


_GATEWAY_NAMES: Final = tuple(f"gateway-{index}" if index else "gateway" for index in range(GATEWAYS))


def _until(moment: float) -> None:
    # The pace of the schedule, not hope: nothing is expected to have happened by then.
    time.sleep(max(0.0, moment - time.monotonic()))


def verdict_of(stack: Stack, ledger: Ledger, patience: float, say: Say) -> Verdict:
    """The audit of everything acknowledged, once it is metered or ``patience`` seconds have passed."""
    settings, site = stack.settings, Site(stack)
    events = ledger.events()
    deadline = time.monotonic() + patience
    # What was acknowledged may still be on its way through an inbox; after the deadline it is lost.
    while (left := missing(settings, events)) and time.monotonic() < deadline:
        time.sleep(0.2)
    say(f"{len(events):,} events acknowledged, {left} not metered; auditing")
    while True:
        verdict = audit(settings, events, ledger.voided(), site.rating, site.key)
        # Conflicts travel through usage.rejected, a moment behind; nothing else can change any more.
        if verdict.clean or verdict.double or verdict.lost or time.monotonic() > deadline:
            return verdict
        time.sleep(0.5)
