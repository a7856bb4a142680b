"""Gives tools to a model that cannot call them: an OpenAI-compatible endpoint in front of another.

A request with `tools` becomes one whose answer is constrained to a JSON Schema with a branch for each tool, and the
answer comes back as a real tool call. So frameworks that know nothing of this work with a model whose chat template
has no tools, such as SmolLM2.

    with tools_proxy("http://127.0.0.1:8080/v1") as url: ...
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LEAST_TOKENS = 256  # A grammar allows white space, so a shorter limit cuts answers off.
LARGEST_REQUEST_BYTES = 4_000_000
TIMEOUT_S = 120.0
_numbers = itertools.count()


@contextlib.contextmanager
def tools_proxy(upstream: str) -> Iterator[str]:
    """Serve on loopback while the block runs; give the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if length > LARGEST_REQUEST_BYTES:
                self._send(413, {"error": {"message": "the request is too large"}})
                return
            request = json.loads(self.rfile.read(length))
            status, answer = _post(upstream, constrained(request))
            self._send(status, as_tool_call(answer) if status == 200 and request.get("tools") else answer)

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def constrained(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request without tools that asks for the same in JSON; one without tools stays as it is."""
    tools = [tool["function"] for tool in request.get("tools", ())]
    if not tools:
        return request
    kept = {name: value for name, value in request.items() if name not in NOT_PASSED_ON}
    branches = [branch("tool", {"const": tool["name"]}, tool["parameters"]) for tool in tools]
    if request["messages"][-1]["role"] == "tool":
        # It may stop only after it has called something: a weak model else stops at once, every time.
        branches.append(branch("say", {"type": "string", "maxLength": 80}, None))
    listing = "\n".join(f"- {tool['name']}: {tool.get('description', '')}" for tool in tools)
    rules = f'Answer with one JSON object {{"tool": NAME, "arguments": {{}}}}. Tools:\n{listing}'
    return {
        **kept,
        "messages": [{"role": "system", "content": rules}, *(plain(message) for message in request["messages"])],
        "max_tokens": max(LEAST_TOKENS, request.get("max_tokens") or request.get("max_completion_tokens") or 0),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "call", "strict": True, "schema": {"anyOf": branches}},
        },
    }


NOT_PASSED_ON = ("tools", "tool_choice", "parallel_tool_calls", "max_completion_tokens", "stream", "stream_options")


def branch(key: str, value: dict[str, Any], arguments: dict[str, Any] | None) -> dict[str, Any]:
    properties = {key: value} if arguments is None else {key: value, "arguments": arguments}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without calls of the API's own kind, which the model's template does not know."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"Result: {message['content']}"}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    if calls:
        said = "\n".join(f'{{"tool": "{call["name"]}", "arguments": {call["arguments"] or "{}"}}}' for call in calls)
        return {"role": "assistant", "content": said}
    return {"role": message["role"], "content": message.get("content") or ""}


def as_tool_call(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion whose JSON is turned into a tool call; one that is cut off stays as it is."""
    choice = answer["choices"][0]
    try:
        said = json.loads(choice["message"]["content"])
    except ValueError:
        return answer
    if "tool" not in said:
        choice["message"]["content"] = said["say"]
        return answer
    function = {"name": said["tool"], "arguments": json.dumps(said["arguments"])}
    call = {"id": f"call{next(_numbers):05d}", "type": "function", "function": function}
    choice["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice["finish_reason"] = "tool_calls"
    return answer


def _post(upstream: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return status and body; bounded in time, and 502 where nobody answers with JSON."""
    address = urlsplit(upstream)
    begun = time.monotonic()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
    try:
        path = f"{address.path.rstrip('/')}/chat/completions"
        connection.request("POST", path, json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = f"{type(error).__name__} after {time.monotonic() - begun:.1f} s"
        return 502, {"error": {"message": f"the model's server gave no answer: {what}"}}
    finally:
        connection.close()
