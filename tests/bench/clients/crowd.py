"""Many connections of a tenant from one light process: `python tests/bench/clients/crowd.py PORT KEY NAME CONNECTIONS
SECONDS RATE`.

Single events, RATE of them a second in all, each at its due time, as far as the connections reach; RATE 0: each as
soon as the one before it on its connection was answered, whatever the answer. Prints ``begun`` once as many requests
were answered as there are connections, and at the end JSON: counts and milliseconds by status (0: the connection was
closed), and how late the process itself was, sending and reading.

An answer's time ends when the kernel received it (SO_TIMESTAMPNS), not when this process came to read it: the process
shares the machine's cores with the gateway that it measures. It begins when the request was due; ``from_sent`` has the
times of the same answers from when this process, which may have waited for a core itself, came to send it, but where it
was the connection that was not free when the request was due.
"""

from __future__ import annotations

import heapq
import json
import select
import selectors
import socket
import struct
import sys
import time
from typing import Any, Final

_SO_TIMESTAMPNS: Final = 35  # Linux; the socket module has no name for it
_ANCILLARY: Final = socket.CMSG_SPACE(16)


class Connection:
    """One of them; ``due``: when its request was due, by the kernel's clock (seconds since 1970)."""

    __slots__ = ("begun", "due", "free", "number", "read", "socket")

    def __init__(self, number: int) -> None:
        self.number = number
        self.due = 0.0
        self.begun = 0.0  # when its request was sent, or due where it was not free then
        self.free = 0.0  # since when nothing is under way on it
        self.read = b""
        self.socket: socket.socket | None = None


class Crowd:
    """All connections of one run."""

    def __init__(self, port: int, key: str, name: str, connections: int, seconds: float, rate: float) -> None:
        self._port, self._name, self._rate = port, name.encode(), rate
        self.authorization = f"Authorization: Bearer {key}\r\n".encode()
        self._connections = [Connection(number) for number in range(connections)]
        self._began = time.time()
        self._end = self._began + seconds
        self._pace = connections / rate if rate else 0.0
        self._selector = selectors.EpollSelector()
        self._due: list[tuple[float, int]] = []
        self._sent = 0
        self.answers: list[tuple[int, float]] = []
        self.from_sent: list[float] = []
        self.late: list[float] = []
        self.sent_late: list[float] = []

    def run(self) -> None:
        """Until the time is over."""
        for connection in self._connections:
            due = self._began + (connection.number / self._rate if self._rate else 0.0)
            heapq.heappush(self._due, (due, connection.number))
        while (now := time.time()) < self._end:
            while self._due and self._due[0][0] <= now:
                due, number = heapq.heappop(self._due)
                self._send(self._connections[number], due)
            wait = min(self._end, self._due[0][0] if self._due else self._end) - time.time()
            # A selector's timeouts are rounded up to milliseconds; those of select are not.
            select.select([self._selector.fileno()], (), (), max(0.0, wait))
            for entry, _ in self._selector.select(0):
                self._receive(entry.data)

    def _send(self, connection: Connection, due: float) -> None:
        # A request that its connection could not take in time is left out: it leaves now, and counts from now.
        now = time.time()
        connection.due = connection.begun = due if self._pace and now - due < self._pace else now
        if connection.free <= due:
            self.sent_late.append(now - connection.due)
            connection.begun = now
        if connection.socket is None:
            connection.socket = socket.socket()
            connection.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.socket.connect(("127.0.0.1", self._port))
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._sent += 1
        try:
            connection.socket.sendall(self.request())
        except OSError:
            self._closed(connection)

    def request(self) -> bytes:
        """The next request."""
        body = b'{"event_name":"e","account_id":"a","idempotency_key":"%s-%d","properties":{"n":1}}' % (
            self._name, self._sent,
        )  # fmt: skip
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\n" + self.authorization
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    def _receive(self, connection: Connection) -> None:
        assert connection.socket is not None
        try:
            data, ancillary, _flags, _address = connection.socket.recvmsg(65536, _ANCILLARY)
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._closed(connection)
            return
        connection.read += data
        head, ended, rest = connection.read.partition(b"\r\n\r\n")
        if not ended or len(rest) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        received = time.time()
        if ancillary:  # left out for what came before the kernel had begun to take times
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            received = seconds + nanoseconds / 1e9
        self.late.append(time.time() - received)
        connection.read = b""
        self._answered(connection, int(head[9:12]), received)

    def _closed(self, connection: Connection) -> None:
        assert connection.socket is not None
        self._selector.unregister(connection.socket)
        connection.socket.close()
        connection.socket, connection.read = None, b""
        self._answered(connection, 0, time.time())

    def _answered(self, connection: Connection, status: int, when: float) -> None:
        self.answers.append((status, when - connection.due))
        self.from_sent.append(when - connection.begun)
        connection.free = when
        if len(self.answers) == len(self._connections):
            print("begun", flush=True)
        heapq.heappush(self._due, (connection.due + self._pace if self._pace else when, connection.number))


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    times = sorted(seconds)
    at = {f"p{percent}_ms": times[min(len(times) - 1, len(times) * percent // 100)] for percent in (50, 99)}
    return {name: round(value * 1000, 1) for name, value in (at | {"max_ms": times[-1]}).items()}


def summed(crowd: Crowd, seconds: float) -> dict[str, Any]:
    """Counts and milliseconds by status."""
    report: dict[str, Any] = {"per_second": round(len(crowd.answers) / seconds)}
    for status in sorted({status for status, _ in crowd.answers}):
        times = [took for answered, took in crowd.answers if answered == status]
        report[str(status)] = {"count": len(times)} | quantiles(times)
    report |= {
        "from_sent": quantiles(crowd.from_sent or [0.0]), "sent_late": quantiles(crowd.sent_late or [0.0]),
        "read_late": quantiles(crowd.late or [0.0]), "cpu_s": time.process_time(),
    }  # fmt: skip
    return report


def main() -> None:
    """The command line."""
    port, key, name, connections, seconds, rate = sys.argv[1:]
    crowd = Crowd(int(port), key, name, int(connections), float(seconds), float(rate))
    crowd.run()
    print(json.dumps(summed(crowd, float(seconds))))


if __name__ == "__main__":
    main()
