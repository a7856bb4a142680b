"""Run all benchmarks, one after another. With --strict a missed target fails; without, it is only said.

Usage: python benchmarks/run.py [--strict] [NAME ...]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run them."""
    names = [name for name in sys.argv[1:] if name != "--strict"]
    scripts = [HERE / f"bench_{name}.py" for name in names] or sorted(HERE.glob("bench_*.py"))
    codes = {script.stem: subprocess.run([sys.executable, str(script)], check=False).returncode for script in scripts}
    broken = [name for name, code in codes.items() if code not in (0, 1)]
    missed = [name for name, code in codes.items() if code == 1]
    print(f"\ntargets missed in: {', '.join(missed) or 'none'}; broken: {', '.join(broken) or 'none'}")
    return 1 if broken or (missed and "--strict" in sys.argv) else 0


if __name__ == "__main__":
    sys.exit(main())
