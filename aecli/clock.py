"""Durations and rates, also where the clock stands still or is set back."""

import time


def seconds_since(started: float) -> float:
    """Return the seconds since `time.perf_counter()` was `started`, at least 0."""
    return max(0.0, time.perf_counter() - started)


def per_second(count: int, seconds: float) -> float:
    """Return how many are done in a second; 0 where the time is not known."""
    return count / seconds if seconds > 0 else 0.0


def show_rate(rate: float, unit: str) -> str:
    """Return a rate for people, such as `1,234 images/s`; empty where it is not known."""
    return f"{rate:,.0f} {unit}" if rate > 0 else ""
