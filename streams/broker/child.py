"""A child process that ends when its parent does, whatever ends the parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

# PR_SET_PDEATHSIG survives exec, so a small Python asks for it and then becomes the command. `preexec_fn` would run
# Python between fork and exec, which deadlocks now and then in a process with threads. The parent may die before the
# request is made, hence the look at getppid. Where there is no prctl, the command simply starts.
_TIE = """\
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
except (OSError, AttributeError, ImportError):
    pass
os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
"""


def start_child(
    command: Sequence[str], log: IO[bytes] | int | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` so that it is killed when this process ends, even by kill -9 (on Linux).

    Parameters
    ----------
    command
        Program and arguments.
    log
        Receives stdout and stderr (`subprocess.PIPE` to read them here); thrown away when None.
    env
        Environment; this process's own when None.

    Returns
    -------
    The process; its `pid` is the command's. Linux ties it to the *thread* that calls this, so call from
    one that lives as long as the child should.
    """
    out = subprocess.DEVNULL if log is None else log
    tie = [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid())] if sys.platform == "linux" else []
    # Its own session: Ctrl-C in a terminal reaches the parent, which stops the child in order.
    return subprocess.Popen(
        [*tie, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
        start_new_session=True,
    )  # fmt: skip


def stop_child(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask the process to end, kill it after `patience_s` seconds, and reap it; harmless when it has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
