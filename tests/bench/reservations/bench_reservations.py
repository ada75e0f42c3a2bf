"""What reserving and finalising take, on a stack of its own: `python tests/bench/reservations/bench_reservations.py`.

Clients in turn reserve 10 of a monthly limit and finalise with 7, each as soon as the one before is answered, for
--seconds: one client, ten and fifty of as many accounts, and fifty of one account, whose decisions follow one another.
Prints both by the second, p50 and p99, and saves JSON (--save).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import wait_until

from deploy.local.stack import Stack
from ingest.client import Client

LOADS = ((1, 1), (10, 10), (50, 50), (50, 1))
"""(clients, accounts)"""
PROCESSES = ("kafka", "clickhouse", "init", "gateway", "worker", "rating")


def catalog(accounts: int) -> dict[str, Any]:
    """A feature with a limit that nobody reaches, and who has it."""
    limit = {"quantity": "1000000000", "reset": "month"}
    names = [f"a{number}" for number in range(accounts)]
    return {
        "namespace": "default",
        "meters": [{"code": "tokens", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}]}],
        "features": [{"code": "model", "profile": "tokens.n", "limits": [limit]}],
        "plans": [{"code": "basic", "currency": "USD", "charges": [], "features": [{"feature": "model"}]}],
        "accounts": [{"code": name} for name in names],
        "subscriptions": [{"code": name, "account": name, "plan": "basic", "start": "2026-01-01"} for name in names],
    }


def timed(urls: tuple[str, str], key: str, clients: int, accounts: int, seconds: float) -> list[tuple[float, float]]:
    """Seconds that each reserving and its finalising took."""
    end = time.monotonic() + seconds

    def turns(number: int) -> list[tuple[float, float]]:
        taken = []
        with Client(urls[0], key, "default", rating_url=urls[1]) as client:
            while (began := time.monotonic()) < end:
                reservation = client.reserve(f"a{number % accounts}", "model", 10)
                reserved = time.monotonic()
                reservation.finalise(7)
                taken.append((reserved - began, time.monotonic() - reserved))
        return taken

    with ThreadPoolExecutor(clients) as pool:
        return [pair for made in pool.map(turns, range(clients)) for pair in made]


def figures(seconds: list[float], span: float) -> dict[str, float]:
    """By the second, and milliseconds."""
    seconds = sorted(seconds)
    p50, p99 = (round(seconds[int(len(seconds) * part)] * 1000, 1) for part in (0.5, 0.99))
    return {"per_second": round(len(seconds) / span, 1), "p50_ms": p50, "p99_ms": p99}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load (default 10)")
    parser.add_argument("--save", type=Path, default=Path("build/reservations.json"))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="weir-reservations-") as folder,
        Stack(Path(folder), ports="free", processes=PROCESSES) as stack,
    ):
        key = stack.settings.admin_key.get_secret_value()
        urls = tuple(f"http://127.0.0.1:{port}" for port in (stack.settings.gateway_port, stack.settings.rating_port))
        head = {"Authorization": f"Bearer {key}"}
        document = catalog(max(accounts for _, accounts in LOADS))
        httpx.post(f"{urls[0]}/v1/catalog/apply", json=document, headers=head, timeout=60).raise_for_status()
        path = f"{urls[1]}/v1/accounts/a0/entitlements/model"
        wait_until(
            lambda: httpx.get(path, headers=head).status_code == 200, 30,
            "the rating service has not read the catalog", every_s=0.1,
        )  # fmt: skip
        saved = []
        for clients, accounts in ((1, 1), *LOADS):  # the first once more: it also connects and compiles
            taken = timed((urls[0], urls[1]), key, clients, accounts, given.seconds)
            both = [figures([pair[part] for pair in taken], given.seconds) for part in (0, 1)]
            saved.append({"clients": clients, "accounts": accounts, "reserve": both[0], "finalise": both[1]})
        for each in saved[1:]:
            print(f"{each['clients']:3} clients, {each['accounts']:3} accounts: {each['reserve']} {each['finalise']}")
    given.save.parent.mkdir(parents=True, exist_ok=True)
    given.save.write_text(json.dumps(saved[1:], indent=1))


if __name__ == "__main__":
    main()
