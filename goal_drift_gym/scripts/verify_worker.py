"""The second process of `goal-drift verify`: JSON strings of paths in, one JSON object a line out.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Verify each run named on stdin."""
    import msgspec

    from goal_drift_gym.verifying import verify_path

    # Whatever a scenario prints goes to stderr: stdout belongs to the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answers.write(msgspec.json.encode(verify_path(msgspec.json.decode(line, type=str))) + b"\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)
