"""Measuring in a process of its own: nothing that the bench has loaded or allocated is in it."""

import multiprocessing
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from bench.machine import on_cores

_Result = TypeVar("_Result")


def run_alone(cores: Collection[int], function: Callable[..., _Result], *arguments: Any) -> _Result:
    """The function's result, from a process that was started for it on those cores."""
    with (
        on_cores(cores),
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        return pool.submit(function, *arguments).result()
