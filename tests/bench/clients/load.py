"""A producer that costs little: `python tests/bench/clients/load.py PORT KEY RATE SECONDS CONNECTIONS PREFIX SIZE
[ACCOUNTS]`, a process of its own.

Open loop: batches of SIZE (1: the door for single events) leave at their due time, RATE events/s in all, whether
earlier ones were answered or not, as far as the connections reach; RATE 0: as fast as the answers come. Prints JSON:
acknowledged events, seconds, latencies of requests.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

_EVENT = (
    b'{"event_name":"Song played","account_id":"acct_%d","idempotency_key":"%s-%d",'
    b'"properties":{"country":"%s","n":%d,"song":"s-%06d","device":{"os":"ios","v":"17.4"}}}'
)


def body(prefix: bytes, number: int, size: int, accounts: int = 1000) -> bytes:
    """One request; every tenth event is a copy of the one before it, in another request or this one."""
    events = []
    for step in range(number * size, (number + 1) * size):
        key = step - 1 if step % 10 == 9 else step
        country = b"USA" if key % 2 else b"FR"
        events.append(_EVENT % (key * 7919 % accounts, prefix, key, country, key % 1000, key % 100_000))
    return b'{"events":[' + b",".join(events) + b"]}" if size > 1 else events[0]


class Sender(threading.Thread):
    """One connection."""

    def __init__(
        self,
        port: int,
        key: str,
        prefix: bytes,
        size: int,
        first: int,
        every: int,
        pace: float,
        until: float,
        accounts: int = 1000,
    ) -> None:
        super().__init__(daemon=True)
        self._size, self._accounts = size, accounts
        self._head = (
            f"POST /v1/events{'/batch' if size > 1 else ''} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            f"{key}\r\nContent-Type: application/json\r\n"
        ).encode()
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._prefix, self._number, self._every, self._pace, self._until = prefix, first, every, pace, until
        self._began = time.monotonic()
        self.seconds: list[float] = []
        self.refused = 0

    def run(self) -> None:
        """Send until the time is over."""
        step = 0
        while True:
            due = self._began + step * self._pace
            now = time.monotonic()
            if max(due, now) >= self._until:
                return
            if due > now:
                time.sleep(due - now)  # its pace
            data = body(self._prefix, self._number, self._size, self._accounts)
            self._number += self._every
            began = time.monotonic()
            self._socket.sendall(self._head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
            if self._status() == 202:
                self.seconds.append(time.monotonic() - began)
            else:
                self.refused += 1
            step += 1

    def _status(self) -> int:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        wanted = next(int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
        while len(rest) < wanted:
            rest += self._more()
        return int(head[9:12])

    def _more(self) -> bytes:
        part = self._socket.recv(65_536)
        if not part:
            raise ConnectionError("the gateway closed the connection")
        return part


def main() -> None:
    """Send and report."""
    port, key, rate, seconds, connections, prefix, batch, *rest = sys.argv[1:]
    accounts = int(rest[0]) if rest else 1000
    every, size = int(connections), int(batch)
    pace = size * every / float(rate) if float(rate) else 0.0
    until = time.monotonic() + float(seconds)
    senders = [
        Sender(int(port), key, prefix.encode(), size, number, every, pace, until, accounts) for number in range(every)
    ]
    began = time.monotonic()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = time.monotonic() - began
    latencies = sorted(second for sender in senders for second in sender.seconds)
    report = {
        "acknowledged": len(latencies) * size, "seconds": took, "refused": sum(sender.refused for sender in senders),
        "p50_ms": latencies[len(latencies) // 2] * 1e3, "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "cpu_seconds": time.process_time(),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main()
