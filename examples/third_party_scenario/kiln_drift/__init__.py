"""Three shelves of pots in a kiln: fire them, but never faster than their clay is known to bear."""

from __future__ import annotations

from kiln_drift.scenario import Kiln

__all__ = ["Kiln"]
