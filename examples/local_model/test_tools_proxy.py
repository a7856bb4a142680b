"""What the proxy makes of requests and answers; needs no model."""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from tools_proxy import tools_proxy

LOOK = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "go on"}


@pytest.fixture
def upstream():
    """A chat endpoint that says what is put into `said` and keeps the requests."""
    requests, said = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = {"choices": [{"message": {"role": "assistant", "content": said[-1]}, "finish_reason": "stop"}]}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests, said
    server.shutdown()
    server.server_close()


def ask(url, request):
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.request("POST", f"{address.path}/chat/completions", json.dumps(request))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_an_answer_in_json_comes_back_as_a_tool_call(upstream):
    url, requests, said = upstream
    said.append('{"tool": "look", "arguments": {"at": 3}}')

    with tools_proxy(url) as proxy:
        _, answer = ask(proxy, {"model": "m", "messages": [USER], "tools": [LOOK], "tool_choice": "auto"})

    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("look", {"at": 3})
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert "tools" not in requests[0]
    assert "tool_choice" not in requests[0]
    assert requests[0]["max_tokens"] >= 256


def test_a_call_must_come_first_and_an_answer_in_words_may_follow_a_result(upstream):
    url, requests, said = upstream
    said.append('{"say": "done"}')
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **LOOK}]}
    called["tool_calls"][0]["function"] = {"name": "look", "arguments": "{}"}
    result = {"role": "tool", "tool_call_id": "c", "content": "nothing there"}

    with tools_proxy(url) as proxy:
        ask(proxy, {"model": "m", "messages": [USER], "tools": [LOOK]})
        _, answer = ask(proxy, {"model": "m", "messages": [USER, called, result], "tools": [LOOK]})

    keys = [
        [next(iter(branch["properties"])) for branch in request["response_format"]["json_schema"]["schema"]["anyOf"]]
        for request in requests
    ]
    assert keys == [["tool"], ["tool", "say"]]
    assert answer["choices"][0]["message"]["content"] == "done"
    assert [message["role"] for message in requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert all(isinstance(message["content"], str) for request in requests for message in request["messages"])
    assert "nothing there" in requests[1]["messages"][-1]["content"]


def test_a_request_without_tools_passes_as_it_is(upstream):
    url, requests, said = upstream
    said.append("hello")

    with tools_proxy(url) as proxy:
        _, answer = ask(proxy, {"model": "m", "messages": [USER]})

    assert requests == [{"model": "m", "messages": [USER]}]
    assert answer["choices"][0]["message"]["content"] == "hello"


def test_a_server_that_is_not_there_is_a_bad_gateway():
    with tools_proxy("http://127.0.0.1:9/v1") as proxy:
        status, answer = ask(proxy, {"model": "m", "messages": [USER]})

    assert status == 502
    assert "gave no answer" in answer["error"]["message"]
