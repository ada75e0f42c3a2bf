"""What each kind of fault does to the stack."""

from __future__ import annotations

import signal
from collections.abc import Callable

from deploy.local.stack import Stack
from tests.chaos.faulty.proxy import Mode, Proxy
from tests.chaos.schedule import PATH, Fault

_MODES: dict[str, Mode] = {"refuse": "refuse", "stall": "stall", "cut": "cut", "deafen": "deafen"}


def begin(fault: Fault, stack: Stack, proxy: Proxy) -> Callable[[], None]:
    """Inject it; the function returned ends it (and does nothing where the fault is an instant)."""
    if fault.target == PATH:
        proxy.set(_MODES[fault.kind])
        return lambda: proxy.set("pass")
    if fault.kind == "kill":
        stack.kill(fault.target)
    elif fault.kind == "hang":
        stack.send_signal(fault.target, signal.SIGUSR1)
    elif fault.kind == "restart":
        stack.restart(fault.target)
    else:
        stack.send_signal(fault.target, signal.SIGSTOP)
        return lambda: stack.send_signal(fault.target, signal.SIGCONT)
    return lambda: None
