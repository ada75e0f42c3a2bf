"""Fits how a cost grows with a size, and measures CPU time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping


def exponent(costs: Mapping[int, float]) -> float:
    """The k of cost ~ size^k by least squares over logarithms: 0 is flat, 1 linear, 2 quadratic. At least two
    sizes; a cost below a nanosecond counts as one."""
    points = [(math.log(size), math.log(max(cost, 1e-9))) for size, cost in costs.items()]
    mean_size, mean_cost = (statistics.fmean(values) for values in zip(*points, strict=True))
    covariance = sum((size - mean_size) * (cost - mean_cost) for size, cost in points)
    return covariance / sum((size - mean_size) ** 2 for size, _ in points)


def cpu_ms(work: Callable[[], object], times: int) -> float:
    """Median of the calling thread's CPU milliseconds over some runs."""
    taken = []
    for _ in range(times):
        began = time.thread_time()
        work()
        taken.append((time.thread_time() - began) * 1e3)
    return statistics.median(taken)
