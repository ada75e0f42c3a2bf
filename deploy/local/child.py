"""Becomes another program that ends with its supervisor: ``python child.py SUPERVISOR_PID PROGRAM [ARGUMENT…]``.

On Linux the kernel kills this process when the thread that started it ends, even by ``kill -9``; the wish
survives exec. It must be made in the child itself, and a hook between fork and exec is unsafe in a process with
threads, hence this program. It imports nothing of ours: it starts in a hundredth of a second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Exec the command; end at once where the supervisor is gone already."""
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            sys.exit("the supervisor has ended")
    os.execvp(command[0], command)  # noqa: S606 (the supervised program, given by its specification)


if __name__ == "__main__":
    main()
