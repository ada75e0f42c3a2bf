#!/usr/bin/env bash
# A server on uvloop accepts one waiting connection in a turn of its event loop, however many wait; asyncio's own loop accepts up to the
# backlog at once. libuv takes one since 1.45, and uvloop has no setting for it. Where a turn
# lasts long, because there is work, that is the rate of accepting: with turns of 20 ms, 50 connections a second; the 600th waits 12 s for
# its first byte to be read, while the server answers all others in time, its own latency metrics included.
#
# Who meets it: an ingest gateway on uvicorn with uvloop (the default where it is installed) at the moment when a fleet of producers reconnects.
# What to do: accept from the listening socket oneself (loop.add_reader and socket.accept until it would block, then connect_accepted_socket).
#
# Package: uvloop 0.23.0 (PyPI), beside asyncio of the same Python. Seen 2026-11-28, at a gateway under load.
# Source: seen by running this; libuv pull request 3696.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q uvloop==0.23.0
cat > "$folder/see.py" <<'PY'
import asyncio
import socket
import sys

import uvloop

CONNECTIONS = 40


async def turns():
    """Turns of the loop that pass from the first connection accepted to the last."""
    loop = asyncio.get_running_loop()
    turn, accepted = 0, []

    def count():
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    class Server(asyncio.Protocol):
        def connection_made(self, _transport):
            accepted.append(turn)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(CONNECTIONS)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(CONNECTIONS)]  # all wait before anybody accepts
    server = await loop.create_server(Server, sock=listening)
    loop.call_soon(count)
    while len(accepted) < CONNECTIONS:
        await asyncio.sleep(0)
    server.close()
    for client in clients:
        client.close()
    return accepted[-1] - accepted[0]


own, uv = asyncio.run(turns()), uvloop.run(turns())
print(f"{CONNECTIONS} connections wait. Turns of the loop until all are accepted: asyncio {own}, uvloop {uv}")
sys.exit(0 if own <= 3 and uv >= CONNECTIONS - 1 else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/see.py"
echo "still so: one connection a turn"
