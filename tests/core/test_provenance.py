"""What is said of the machine, and what is never said."""

from __future__ import annotations

import builtins
import subprocess
from importlib import metadata
from typing import Any

import pytest

from goal_drift_gym._version import __version__
from goal_drift_gym.core import provenance


@pytest.fixture(autouse=True)
def fresh():
    for function in (
        provenance.git_info,
        provenance.machine_info,
        provenance.package_versions,
        provenance.engine_version,
    ):
        function.cache_clear()
    yield
    for function in (
        provenance.git_info,
        provenance.machine_info,
        provenance.package_versions,
        provenance.engine_version,
    ):
        function.cache_clear()


def git(directory: Any, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(directory), *arguments],
        check=True,
        capture_output=True,
    )


def test_commit_and_dirty_flag(tmp_path):
    git(tmp_path, "init")
    assert provenance.git_info(str(tmp_path)) is None
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    provenance.git_info.cache_clear()
    clean = provenance.git_info(str(tmp_path))
    assert clean is not None
    assert (len(clean["sha"]), clean["dirty"]) == (40, False)
    (tmp_path / "untracked").write_text("1")
    (tmp_path / "a").write_text("2")
    provenance.git_info.cache_clear()
    assert provenance.git_info(str(tmp_path)) == {"sha": clean["sha"], "dirty": True}


def test_outside_of_a_checkout_and_without_git_there_is_no_commit(tmp_path, monkeypatch):
    assert provenance.git_info(str(tmp_path)) is None
    provenance.git_info.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_info(str(tmp_path)) is None


def test_versions_of_what_is_installed(monkeypatch):
    assert provenance.engine_version() == __version__
    assert provenance.package_versions()["msgspec"] == metadata.version("msgspec")

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    provenance.package_versions.cache_clear()
    monkeypatch.setattr(metadata, "version", absent)
    assert provenance.package_versions() == {}


@pytest.mark.parametrize("content", [None, "processor: 0\n"])
def test_a_machine_without_cpu_names_is_described_all_the_same(monkeypatch, tmp_path, content):
    real = builtins.open

    def other(path: Any, *args: Any, **kwargs: Any) -> Any:
        if path == "/proc/cpuinfo":
            if content is None:
                raise FileNotFoundError(path)
            (tmp_path / "cpuinfo").write_text(content)
            path = tmp_path / "cpuinfo"
        return real(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", other)
    assert provenance.machine_info()["cpu"]


def test_the_clock_is_utc():
    assert provenance.utc_now().utcoffset().total_seconds() == 0  # type: ignore[union-attr]
