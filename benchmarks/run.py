"""Run all benchmarks, one after another. With --strict a missed target fails; without, it is only said.

Usage: python benchmarks/run.py [--strict] [--quick] [NAME ...]

--quick makes the long one, scaling, small. Names are those of the files: engine, imports, inspect, plugin, ...
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(command: list[str]) -> int:
    """Run a benchmark and return its exit code; 2 when it broke, which Python alone would also call 1."""
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    print(done.stderr, end="", file=sys.stderr)
    return 2 if done.returncode == 1 and "Traceback (most recent call last)" in done.stderr else done.returncode


def main() -> int:
    """Run them."""
    flags = {word for word in sys.argv[1:] if word.startswith("-")}
    if unknown := flags - {"--strict", "--quick"}:
        print(f"unknown: {', '.join(sorted(unknown))}")
        return 2
    names = [name for name in sys.argv[1:] if name not in flags]
    scripts = [HERE / f"bench_{name}.py" for name in names] or sorted(HERE.glob("bench_*.py"))
    quick = ["--quick"] if "--quick" in flags else []
    codes = {script.stem: run([sys.executable, str(script), *quick]) for script in scripts}
    broken = [name for name, code in codes.items() if code not in (0, 1)]
    missed = [name for name, code in codes.items() if code == 1]
    print(f"\ntargets missed in: {', '.join(missed) or 'none'}; broken: {', '.join(broken) or 'none'}")
    return 1 if broken or (missed and "--strict" in flags) else 0


if __name__ == "__main__":
    sys.exit(main())
