"""``weir up``, ``weir down``, ``weir status``: the local stack."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, base_url, connection, data_dir, names_installation
from deploy.cli.errors import FAILED, Failure
from deploy.cli.operation import status_lines
from deploy.cli.operation.installation_status import installation_status
from deploy.cli.operation.not_ready import lines, reasons_not_ready
from deploy.cli.operation.store_figures import answer_or_trouble, figure_lines, lag, undelivered_by_namespace

if TYPE_CHECKING:
    from deploy.local.stack_state import StackState
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when all is up; the stack goes on.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Number of workers.")] = 1,
    brokers: Annotated[
        int | None,
        typer.Option(
            help="Brokers of Kafka, 1 or 3; a folder keeps the number that it began with. Three keep three"
            " copies, and one may be away."
        ),
    ] = None,
) -> None:
    """Start the local stack: Kafka, ClickHouse, gateway, worker, rating, webhooks. Ctrl-C stops all of it."""
    from deploy.cli.output import say
    from deploy.local import daemon
    from deploy.local.stack import Stack
    from deploy.local.stack_state import read_state

    folder = data_dir()
    if detach:
        running = read_state(folder)
        state = running or daemon.detach(folder, workers=workers, brokers=brokers)
        say("the stack is running already" if running else "the stack is up")
        for line in (*address_lines(connection(local_stack=True), state), *lines(reasons_not_ready(state))):
            say(line)
        return

    def ready(stack: Stack) -> None:
        for line in (*address_lines(stack.settings, stack.state()), *lines(reasons_not_ready(stack.state()))):
            say(line)
        say("Ctrl-C stops everything; what was stored stays.")

    begun: set[str] = set()

    def progress(name: str, phase: str) -> None:
        slow = phase == "starting" and name in begun
        begun.add(name)
        say(f"{name}: still starting; its log: {folder}/logs/{name}.log" if slow else f"{name}: {phase}")

    daemon.run_foreground(Stack(folder, workers=workers, brokers=brokers), progress, ready)
    say("stopped")


def down() -> None:
    """Stop the local stack. Its data stays."""
    from deploy.cli.output import say
    from deploy.local import daemon

    say("stopped" if daemon.down(data_dir()) else "no stack is running")


def address_lines(settings: Settings, state: StackState) -> list[str]:
    """Lines that say where everything listens."""
    return [
        f"gateway     {base_url(settings, 'gateway')}/docs",
        f"rating      {base_url(settings, 'rating')}/docs   (console at {base_url(settings, 'rating')}/)",
        f"Kafka       {settings.kafka_bootstrap}",
        f"ClickHouse  http://{settings.clickhouse_host}:{settings.clickhouse_port}"
        f"   database {settings.clickhouse_database}",
        *(analyst_lines(settings) if "clickhouse" in state.processes else ()),
        f"admin key   {settings.data_dir}/admin-key",
        f"logs        {settings.data_dir}/logs   supervisor pid {state.pid}",
    ]


def analyst_lines(settings: Settings) -> list[str]:
    """Lines that say how one connects to the local ClickHouse."""
    return [
        f"            user {settings.clickhouse_user}, password in {settings.data_dir}/clickhouse-password",
        "            analysts read the views as user analyst,"
        f" password in {settings.data_dir}/clickhouse-analyst-password",
    ]


def status(
    as_json: JsonOption = False,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="URL of one more process, http://worker-1:6066 say, whose /readyz is asked."),
    ] = None,
) -> None:
    """What is up, its ports and restarts, the lag, and why anything is not ready. Exit code 1 where not all is up and
    ready.

    Of the local stack, or of the installation that WEIR_GATEWAY_URL, WEIR_RATING_URL, WEIR_KAFKA_BOOTSTRAP and
    WEIR_CLICKHOUSE_HOST name: then each of these, and each --at, is asked what it says and holds.
    """
    from deploy.cli.output import console, print_json, say, table
    from deploy.local.stack_state import lock_owner, read_state
    from schemas.health.backlogs import PIPELINE_STANDS
    from schemas.health.disk_room import short_of_room

    folder = data_dir()
    state = read_state(folder)
    if at or names_installation(os.environ, {} if state is None else state.settings):
        if not installation_status(at or (), as_json=as_json):
            raise typer.Exit(FAILED)
        return
    if state is None:
        if as_json:
            print_json({"running": False, "ready": False, "data_dir": str(folder), "processes": [], "lag": None})
        if (owner := lock_owner(folder)) is not None:
            full = "".join(
                f"; {left >> 20} MB are left on its disk" for _, left in short_of_room([str(folder)], 64 << 20)
            )
            raise Failure(
                f"a stack (supervisor pid {owner}) is starting on {folder}, or could not write stack.json{full}"
            )
        raise Failure(f"no stack is running on {folder}: start one with `weir up`")
    settings = connection(local_stack=True)
    behind, trouble = answer_or_trouble(lambda: lag(settings))
    undelivered, _ = answer_or_trouble(lambda: undelivered_by_namespace(settings))
    reasons = reasons_not_ready(state)
    ready = state.ready and not reasons
    zones, _ = answer_or_trouble(lambda: status_lines.time_zones(settings))
    lost, _ = answer_or_trouble(lambda: status_lines.unmeterable(settings))
    now = time.time()
    processes: list[JsonObject] = [
        {
            "name": name,
            "phase": process.phase,
            "pid": process.pid,
            "restarts": process.restarts,
            "seconds": max(0, int(now - process.since)) if process.since else 0,
            "ports": process.ports,
            "log": process.log,
            "note": process.note,
        }
        for name, process in state.processes.items()
    ]
    if as_json:
        print_json(
            {"running": True, "ready": ready, "data_dir": str(folder), "supervisor_pid": state.pid}
            | {"processes": processes, "lag": behind, "lag_problem": trouble or None, "webhooks": undelivered}
            | {"time_zones": zones, "unmeterable": lost}
            | {"reasons": [{"process": process, **asdict(reason)} for process, reason in reasons]}
        )
    else:
        waiting = {process for process, reason in reasons if reason.lasting and reason.name != PIPELINE_STANDS}
        rows = [
            (
                process["name"],
                "needs you" if process["name"] in waiting else process["phase"],
                process["pid"] or "",
                process["restarts"],
                f"{process['seconds']} s",
                ", ".join(f"{kind} {port}" for kind, port in process["ports"].items()),
                process["log"],
            )
            for process in processes
        ]
        columns = ("process", "phase", "pid", "restarts", "for", "ports", "log")
        console().print(table("", columns, rows, right=("pid", "restarts", "for")))
        for process in processes:
            name, note = process["name"], process["note"]
            if process["phase"] == "held":
                say(f"{name} stopped and needs you: {note}")
            elif process["phase"] == "backoff" and note:
                say(f"{name} is down and tried again: {note}")
            elif note:
                say(f"{name} ended and was started again, its last words were: {note}")
        for line in lines(reasons):
            say(line)
        for line in (*figure_lines(behind, trouble, undelivered), *status_lines.unmeterable_lines(lost or [])):
            say(line)
        if zones is not None:
            say(status_lines.time_zone_line(zones))
        for line in address_lines(settings, state):
            say(line)
    if not ready:
        raise typer.Exit(1)
