"""Waiting for a condition, with a deadline and never blindly."""
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

Value = TypeVar("Value")
PAUSE = 0.02


def eventually(check: Callable[[], Value], within: float = 10, what: str = "") -> Value:
    """Calls until the answer is true or no longer raises AssertionError; returns the answer."""
    deadline = time.monotonic() + within
    while True:
        problem = None
        try:
            value = check()
            if value:
                return value
        except AssertionError as error:
            problem, value = error, None
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or 'condition'}; last: {value!r}") from problem
        time.sleep(PAUSE)


async def eventually_async(check: Callable[[], Awaitable[Value]], within: float = 10, what: str = "") -> Value:
    """The same for a check that is awaited."""
    deadline = time.monotonic() + within
    while True:
        problem = None
        try:
            value = await check()
            if value:
                return value
        except AssertionError as error:
            problem, value = error, None
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or 'condition'}; last: {value!r}") from problem
        await anyio.sleep(PAUSE)
