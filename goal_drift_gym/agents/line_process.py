"""A process that is talked to in lines: bounded both ways, waited for with a deadline, killed with its children.

One thread moves the bytes of all three pipes, so that a process that does not read, does not write, or writes without
end blocks nobody but itself.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from goal_drift_gym.core.errors import UsageError

_PIECE = 65536
_MOST_LINES_HELD = 64
_MOST_BYTES_UNREAD = 16_000_000
_POLL_S = 0.01
_READING_S = 1.0
"""How long the end of standard error is waited for: a process of its own group may hold it open."""
_CLOSING_S = 10.0


class LineProcess:
    """A process whose standard output is read line by line.

    Parameters
    ----------
    command
        Program and arguments.
    cwd
        Its working directory.
    longest_line
        Bytes of its longest line; a longer one is a fault.
    stderr_kept
        Bytes kept of the end of its standard error.

    Raises
    ------
    OSError
        If it cannot be started.
    UsageError
        On a system without process groups.
    """

    def __init__(self, command: Sequence[str], *, cwd: str | None, longest_line: int, stderr_kept: int) -> None:
        if sys.platform == "win32":
            raise UsageError(
                "agents in a process of their own need a POSIX system: process groups and pipes to wait on"
            )
        self._longest_line = longest_line
        # Guards what the moving thread and the reading one share.
        self._lock = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._stderr: deque[int] = deque(maxlen=stderr_kept)
        self._ended_stderr = threading.Event()
        self._unsent = bytearray()
        self._wake: Callable[[], None] | None = None
        self._closes_input = False
        self._stops = False
        self.fault: str | None = None
        """What makes it useless: a line too long, or input it does not read."""
        self.has_ended_output = False
        self.started = time.monotonic()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        try:
            # A session of its own: so that one signal reaches its children, and a Ctrl-C does not.
            self._process = subprocess.Popen(
                list(command),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._woken)
            os.close(self._waker)
            raise
        self._thread = threading.Thread(target=self._move, name="goal-drift-process", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Send a line, as soon as it reads."""
        with self._lock:
            if len(self._unsent) + len(line) > _MOST_BYTES_UNREAD:
                self.fault = self.fault or "it does not read its input"
                return
            self._unsent += line + b"\n"
        self._stir()

    def take(self) -> bytes | None:
        """Return the next line that is here."""
        with self._lock:
            line = self._lines.popleft() if self._lines else None
        if line is not None:
            self._stir()
        return line

    def receive(self, within_s: float) -> bytes | None:
        """Return the next line, without its end; None where none comes in time or none can come any more."""
        with self._lock:
            self._lock.wait_for(self._has_news, max(within_s, 0.0))
        return self.take()

    async def arrival(self, within_s: float) -> bool:
        """Wait on the event loop until a line or a fault is there, or none can come any more; whether in time."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                pass  # The loop is closed: nobody waits on it any more.

        with self._lock:
            if self._has_news():
                return True
            self._wake = wake
        try:
            await asyncio.wait_for(event.wait(), max(within_s, 0.0))
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._wake = None
        return True

    def stderr(self) -> str:
        """Return the end of what it wrote to standard error; of one that has exited all, as soon as it was read."""
        if self._has_exited():
            self._ended_stderr.wait(_READING_S)
        with self._lock:
            return bytes(self._stderr).decode("utf-8", "replace").strip()

    def end_input(self) -> None:
        """Close its input, once it has read what was sent; what it says from now on is dropped."""
        with self._lock:
            self._closes_input = True
        self._stir()

    def exit_code(self, within_s: float) -> int | None:
        """Return how it ended, negative for a signal; None where it runs on. Its group can still be killed after."""
        deadline = time.monotonic() + within_s
        while not self._has_exited():
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_S)
        if not hasattr(os, "waitid"):
            return self._process.returncode
        status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is None:
            return None
        return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status

    def close(self, grace_s: float) -> int | None:
        """Close its input, give it `grace_s` to end, kill what is left of its group; return its exit code."""
        if self._stops:
            return self._process.returncode
        self.end_input()
        code = self.exit_code(grace_s)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # Nothing of the group is left; on some systems only what was not waited for yet.
        with self._lock:
            self._stops = True
            self._rouse()
        self._thread.join(_CLOSING_S)
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            pass  # The system does not let go of it; nothing more can be done about it here.
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                pass  # A broken pipe is closed all the same.
        os.close(self._woken)
        os.close(self._waker)
        return code

    # --- the thread that moves bytes

    def _move(self) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018
        inputs = {process.stdout.fileno(): self._take_output, process.stderr.fileno(): self._take_stderr}
        stdin: int | None = process.stdin.fileno()
        for number in (stdin, *inputs):
            assert number is not None
            os.set_blocking(number, False)
        self._part = bytearray()
        while True:
            with self._lock:
                if self._stops:
                    return
                full = len(self._lines) >= _MOST_LINES_HELD and not self._closes_input
                wants_to_send = bool(self._unsent)
                closes_input = self._closes_input and not wants_to_send
            if stdin is not None and closes_input:
                process.stdin.close()
                stdin = None
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                for number, take in inputs.items():
                    if not (full and take == self._take_output):
                        selector.register(number, selectors.EVENT_READ)
                if stdin is not None and wants_to_send:
                    selector.register(stdin, selectors.EVENT_WRITE)
                ready = [key.fd for key, _ in selector.select()]
            if self._woken in ready:
                os.read(self._woken, _PIECE)
            if stdin in ready and not self._pour(process.stdin.fileno()):
                process.stdin.close()
                stdin = None
            for number in [number for number in inputs if number in ready]:
                piece = _read(number)
                if piece is not None and not inputs[number](piece):
                    del inputs[number]

    def _pour(self, stdin: int) -> bool:
        with self._lock:
            piece = bytes(self._unsent[:_PIECE])
        try:
            sent = os.write(stdin, piece)
        except BlockingIOError:
            return True
        except OSError:
            with self._lock:
                self._unsent.clear()
            return False
        with self._lock:
            del self._unsent[:sent]
        return True

    def _take_output(self, piece: bytes) -> bool:
        """Cut what came into lines; return whether more may come."""
        *whole, rest = (bytes(self._part) + piece).split(b"\n")
        self._part = bytearray(rest)
        longest = max(map(len, [*whole, rest]))
        with self._lock:
            if longest > self._longest_line:
                self.fault = f"it wrote a line of more than {self._longest_line} bytes"
            elif not self._closes_input:
                # What comes after the goodbye is read, so that nobody blocks on it, and dropped.
                self._lines.extend(whole if piece or not rest else [rest])
            self.has_ended_output = not piece
            goes_on = self.fault is None and not self.has_ended_output
        self._tell()
        return goes_on

    def _take_stderr(self, piece: bytes) -> bool:
        with self._lock:
            self._stderr.extend(piece)
        if not piece:
            self._ended_stderr.set()
        return bool(piece)

    def _has_news(self) -> bool:
        return bool(self._lines) or self.has_ended_output or self.fault is not None

    def _tell(self) -> None:
        with self._lock:
            wake = self._wake
            self._lock.notify_all()
        if wake is not None:
            wake()

    def _stir(self) -> None:
        with self._lock:
            if not self._stops:
                self._rouse()

    def _rouse(self) -> None:
        try:
            os.write(self._waker, b"x")
        except BlockingIOError:
            pass  # It is full of wake-up calls already.

    def _has_exited(self) -> bool:
        # Looked at without waiting for it, so that its number, and that of its group, stay its own until it is killed.
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(number: int) -> bytes | None:
    try:
        return os.read(number, _PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""
