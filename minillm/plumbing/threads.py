"""Work on all cores without PyTorch's own threads.

PyTorch cuts each product into parts for several threads, which then wait for one another by spinning,
thousands of times per step: one other busy process on the machine makes all of them wait for the one that
was interrupted. Here each thread computes a whole micro-batch alone, and they wait once per step. Since a
micro-batch is computed by one thread, its result does not depend on the number of cores.
"""

import ctypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch

from minillm.plumbing import distributed

Item = TypeVar("Item")
Result = TypeVar("Result")


class Map(Protocol):
    """Like the builtin `map`: the results in the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]: ...


@contextmanager
def all_cores(enabled: bool = True) -> Iterator[Map]:
    """A `map` that computes as many items at a time as PyTorch may use cores, each by one thread.

    Their number is `torch.get_num_threads()` (OMP_NUM_THREADS sets it); meanwhile PyTorch itself uses one. Processes
    that work alike share the items as cores do. With one core, or where it is not `enabled`, the plain `map`.
    """
    cores, processes = torch.get_num_threads(), distributed.sharers()
    if not enabled or cores * processes == 1:
        yield map  # type: ignore[misc]  # it is a class, but called as a Map is
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:

            def on_all_cores(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
                items = iter(items)
                while batch := list(islice(items, cores * processes)):  # no more at a time: results may be large
                    yield from distributed.shared(function, batch, pool.map)  # in its threads nothing is shared again

            yield on_all_cores
    finally:
        torch.set_num_threads(cores)


@contextmanager
def one_thread(enabled: bool = True) -> Iterator[None]:
    """Meanwhile PyTorch and NumPy compute with one thread: for products so small that others would only wait."""
    if not enabled:
        yield
        return
    cores, blas = torch.get_num_threads(), openblas()
    own = blas.get() if blas else 1
    torch.set_num_threads(1)
    if blas:
        blas.set(1)
    try:
        yield
    finally:
        torch.set_num_threads(cores)
        if blas:
            blas.set(own)


class OpenBLAS:
    """The library that multiplies matrices for NumPy, which has no function for the number of its threads."""

    def __init__(self, path: Path):
        library = ctypes.CDLL(str(path))
        self.get: Callable[[], int] = library.scipy_openblas_get_num_threads64_
        self.set: Callable[[int], None] = library.scipy_openblas_set_num_threads64_


@cache
def openblas() -> OpenBLAS | None:
    """That which NumPy's wheels bring; None where NumPy was built with another."""
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            try:
                return OpenBLAS(path)
            except (OSError, AttributeError):
                continue
    return None
