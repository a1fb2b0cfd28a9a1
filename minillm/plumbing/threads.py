"""Work on all cores without PyTorch's own threads.

PyTorch cuts each product into parts for several threads, which then wait for one another by spinning,
thousands of times per step: one other busy process on the machine makes all of them wait for the one that
was interrupted. Here each thread computes a whole micro-batch alone, and they wait once per step. Since a
micro-batch is computed by one thread, its result does not depend on the number of cores.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Map(Protocol):
    """Like the builtin `map`: the results in the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]: ...


@contextmanager
def all_cores(enabled: bool = True) -> Iterator[Map]:
    """A `map` that computes as many items at a time as PyTorch may use cores, each by one thread.

    Their number is `torch.get_num_threads()` (OMP_NUM_THREADS sets it); meanwhile PyTorch itself uses one.
    With one core, or where it is not `enabled`, the plain `map`.
    """
    cores = torch.get_num_threads()
    if not enabled or cores == 1:
        yield map  # type: ignore[misc]  # it is a class, but called as a Map is
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:

            def on_all_cores(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
                items = iter(items)
                while batch := list(islice(items, cores)):  # no more at a time: results may be large
                    yield from pool.map(function, batch)

            yield on_all_cores
    finally:
        torch.set_num_threads(cores)
