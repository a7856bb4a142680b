"""A model on this machine whose answers follow from the question alone, and which can stop answering."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_S = 60.0
QUIET_S = 2.0


class StubModel(ThreadingHTTPServer):
    """Counts what it answers. From `hold_after` answers on it lets every question wait."""

    daemon_threads = True

    def __init__(self, hold_after: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Condition()
        self.answers: Counter[str] = Counter()
        """Number of answers by question."""
        self.hold_after = hold_after
        self.waiting = 0

    @property
    def answered(self) -> int:
        return sum(self.answers.values())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait_until_quiet(self) -> bool:
        """Return whether, within a minute, questions wait and none is on its way: nothing came for two seconds."""
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end:
            with self.lock:
                before = (self.waiting, self.answered)
            time.sleep(QUIET_S)
            with self.lock:
                if self.waiting and before == (self.waiting, self.answered):
                    return True
        return False

    def release(self) -> None:
        """Answer again; who was let wait gets nothing."""
        with self.lock:
            self.hold_after = None
            self.waiting = 0
            self.lock.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: StubModel

    def do_POST(self) -> None:
        question = self.rfile.read(int(self.headers["Content-Length"])).decode()
        stub = self.server
        with stub.lock:
            if stub.hold_after is not None and stub.answered >= stub.hold_after:
                stub.waiting += 1
                stub.lock.notify_all()
                stub.lock.wait_for(lambda: stub.hold_after is None, LONGEST_S)
                return
            stub.answers[question] += 1
        # A pure function of the question, so that the same world gives the same answers.
        draw = hashlib.sha256(question.encode()).digest()[0]
        body = json.dumps({"number": draw}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stub_model(hold_after: int | None = None) -> Iterator[StubModel]:
    """Serve on a thread."""
    server = StubModel(hold_after)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)
