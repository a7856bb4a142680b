"""Simulated episodes with known drift, and their metrics, many groups of seeds at once.

A score series of T steps on [-1, 1] is ``clip(path + noise, -1, 1)``. The noise is what the published episodes show: a
first-order autoregression with correlation 0.6 and marginal standard deviation 0.2, on a level that differs a little
between seeds (standard deviation 0.05), and 2 % of steps that drop by 1.0 for that step alone. The undrifted path is
0.95: the ceiling cuts the upper half of the noise off, so most series touch 1.0 often and the scores are skewed to the
left. Drift is taken away from the path; how much differs between seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from goal_drift_gym.core.streams import stream

Floats = NDArray[np.float64]
Loss = Callable[[np.random.Generator, int, int], Floats]

CEILING = 0.95
CORRELATION = 0.6
NOISE_SD = 0.2
SEED_SD = 0.05
DROP_SHARE = 0.02
DROP = 1.0


def generator(name: str, step: int = 0) -> np.random.Generator:
    return stream(20260, f"test:{name}", step).numpy()


def episodes(loss: Loss, rng: np.random.Generator, count: int, steps: int = 64) -> Floats:
    """Draw `count` series, shape (count, steps)."""
    white = rng.normal(size=(count, steps)) * NOISE_SD * np.sqrt(1 - CORRELATION**2)
    noise = np.empty((count, steps))
    noise[:, 0] = rng.normal(size=count) * NOISE_SD
    for step in range(1, steps):
        noise[:, step] = CORRELATION * noise[:, step - 1] + white[:, step]
    level = CEILING + rng.normal(size=(count, 1)) * SEED_SD
    drops = DROP * (rng.random((count, steps)) < DROP_SHARE)
    return np.clip(level - loss(rng, count, steps) - drops + noise, -1.0, 1.0)


def no_drift(rng: np.random.Generator, count: int, steps: int) -> Floats:
    return np.zeros((count, steps))


def linear(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A loss that grows to 0.6 (sd 0.2 over seeds, never a gain) at the last step."""
    size = np.maximum(rng.normal(0.6, 0.2, size=(count, 1)), 0.0)
    return size * np.linspace(0.0, 1.0, steps)


def _step(rng: np.random.Generator, count: int, steps: int, low: float, high: float, size: float) -> Floats:
    """A lasting loss of `size` (sd 0.2 over seeds) from a share of the episode in [low, high] on."""
    onset = rng.uniform(low, high, size=(count, 1)) * steps
    return np.maximum(rng.normal(size, 0.2, size=(count, 1)), 0.0) * (np.arange(steps) >= onset)


def step(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A lasting loss of 0.8 from the middle third on."""
    return _step(rng, count, steps, 1 / 3, 2 / 3, 0.8)


def early_step(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A lasting loss of 0.8 from the first tenth to fifth on: a trend sees little of it, a level all."""
    return _step(rng, count, steps, 0.1, 0.2, 0.8)


def late_collapse(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A loss of 1.6 in the last 10 to 20 % of the episode."""
    return _step(rng, count, steps, 0.8, 0.9, 1.6)


def transient_dip(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A loss of 1.6 (sd 0.2) over 12 % of the episode, in its second or third quarter, then full recovery."""
    start = rng.uniform(0.25, 0.63, size=(count, 1)) * steps
    where = np.arange(steps)
    inside = (where >= start) & (where < start + 0.12 * steps)
    return np.maximum(rng.normal(1.6, 0.2, size=(count, 1)), 0.0) * inside


def oscillation(rng: np.random.Generator, count: int, steps: int) -> Floats:
    """A loss that swings between 0 and 1.3 (sd 0.2), four sine waves an episode with a phase of the seed's own."""
    phase = rng.uniform(0.0, 2 * np.pi, size=(count, 1))
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * np.arange(steps) / steps + phase)
    return np.maximum(rng.normal(1.3, 0.2, size=(count, 1)), 0.0) * wave


def mixture(share: float) -> Loss:
    """A lasting loss of 1.6 from the middle third on in a `share` of the seeds, none in the others."""

    def loss(rng: np.random.Generator, count: int, steps: int) -> Floats:
        collapsing = rng.random((count, 1)) < share
        return collapsing * _step(rng, count, steps, 1 / 3, 2 / 3, 1.6)

    return loss


def columns(series: Floats, seeds: int) -> dict[str, Floats]:
    """Compute the metrics of the default limits, each of shape (series / seeds, seeds); the collapse floor is 0."""
    count, steps = series.shape
    time = np.arange(steps) - (steps - 1) / 2
    slope = series @ time / (time @ time)
    tail = -(-steps // 5)
    width = max(3, steps // 16)
    sums = np.cumsum(np.pad(series, ((0, 0), (1, 0))), axis=1)
    rolling = (sums[:, width:] - sums[:, :-width]) / width
    below = series < 0.0
    row = below[:, 2:] & below[:, 1:-1] & below[:, :-2]
    found = {
        "total_change": slope * (steps - 1),
        "final_level": series[:, -tail:].mean(axis=1),
        "worst_window": rolling.min(axis=1),
        "collapse": row.any(axis=1).astype(float),
    }
    return {name: values.reshape(count // seeds, seeds) for name, values in found.items()}


def groups(loss: Loss, name: str, *, count: int, seeds: int, steps: int = 64) -> dict[str, Floats]:
    """Draw `count` groups of `seeds` episodes and compute their metrics."""
    return columns(episodes(loss, generator(f"{name}/{seeds}/{steps}"), count * seeds, steps), seeds)
