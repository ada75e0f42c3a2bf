#!/usr/bin/env bash
# faust-streaming's App.consumer looks like an attribute to be looked at, and makes the consumer for whoever reads it first. Read in another thread
# than the loop's (a watchdog, a health page, metrics), before the app has come so far as to make it, the consumer has an event loop of that
# thread, and the app, which finds it made, cannot start with it ("attached to a different loop"). App.started does not help: it is true as soon as
# the start begins, seconds before there is a consumer on a busy machine.
#
# Who meets it: whoever watches a metering worker from a thread: on a fast machine the app has always been faster, on a busy one the worker stands
# for ever and meters nothing.
# What to do: look at App._consumer, which is None until it is made, or let the loop tell the thread what is assigned.
#
# Package: faust-streaming 0.15.3 with mode-streaming 0.7.1 (PyPI). Seen 2026-11-29 in a test that failed once under load.
# Source: seen by running this; faust/app/base.py, the property "consumer".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q faust-streaming==0.15.3 mode-streaming==0.7.1 setuptools
cat > "$folder/see.py" <<'PY'
import asyncio
import sys
import threading

import faust


def see(elsewhere):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust.App("seen", broker="kafka://127.0.0.1:9092", store="memory://", loop=loop)
    made_before = app._consumer is not None
    if elsewhere:
        reader = threading.Thread(target=lambda: app.consumer)
        reader.start()
        reader.join()
    else:
        app.consumer
    return made_before, app._consumer is not None, app._consumer.loop is app.loop


for place, elsewhere in (("in the loop's thread", False), ("in another thread", True)):
    made_before, made, same = see(elsewhere)
    print(f"read {place}: made before {made_before}, made by reading {made}, of the app's loop {same}")
    if (made_before, made, same) != (False, True, not elsewhere):
        sys.exit("this has changed")
PY
"$folder/venv/bin/python" "$folder/see.py"
