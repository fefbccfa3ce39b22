"""The guard's program: writes neutral when its owner falls silent or dies, and outlives Ctrl-C, SIGTERM and SIGHUP.

It is started by path and uses the standard library alone, so that it is running within milliseconds and needs 10 MB.

    guard_process.py TIMEOUT_MS FILE_DESCRIPTOR=PULSE_NS ...

Standard input is the owner's pipe. Any byte is a sign of life; the byte `.` is one, and `q` says that the end of the
pipe, when it comes, is meant.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

ATTEMPTS = 20
PAUSE_S = 0.01


def write_neutral(outputs: list[tuple[int, bytes]]) -> bool:
    """Write every output; return whether all of them took it."""
    whole = True
    for file, pulse in outputs:
        try:
            os.pwrite(file, pulse, 0)
        except OSError:
            whole = False
    return whole


def main(arguments: list[str]) -> None:
    """Guard until the pipe is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    timeout_ms = int(arguments[0])
    outputs = []
    for argument in arguments[1:]:
        file, _, pulse = argument.partition("=")
        outputs.append((int(file), b"%d\n" % int(pulse)))
    poll = select.poll()
    poll.register(0, select.POLLIN)
    silent = meant = False
    while True:
        if not poll.poll(timeout_ms):
            write_neutral(outputs)
            if not silent:
                say(f"no sign of life for {timeout_ms} ms: neutral")
            silent = True
            continue
        signs = os.read(0, 4096)
        if not signs:
            break
        silent = False
        meant = signs.endswith(b"q")
    for _ in range(ATTEMPTS):
        if write_neutral(outputs):
            break
        time.sleep(PAUSE_S)
    if not meant:
        say("the driver has died: neutral")


def say(text: str) -> None:
    """Log one line, if there is still anybody to read it."""
    try:
        os.write(2, f"[guard] {text}\n".encode())
    except OSError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
