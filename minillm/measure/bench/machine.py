"""The machine: what it is, and the most it can do, measured before anything else.

The ceilings are those of PyTorch's matrix product and copy, so that a share of them says how much of the time a
step would need if it did nothing but its products.
"""

import importlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from minillm.measure.bench.rows import Row, take_turns
from minillm.plumbing.devices import Timer
from minillm.plumbing.threads import all_cores

PACKAGES = ("torch", "numpy", "tiktoken", "transformers", "tokenizers")
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}

Part = Callable[[int, int], float]
"""Called with i and n, does what the i-th of n threads is to do once, and returns how much that was."""


def describe() -> dict[str, Any]:
    """Processor, cores, instruction sets, versions and load, for whoever reads the figures later."""
    return {
        "processor": processor(),
        "system": platform.platform(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "flags": sorted(name for name, able in torch.cpu.get_capabilities().items() if able is True),
        "environment": {
            name: os.environ[name] for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ
        },
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in PACKAGES},
    }


def processor() -> str:
    """The processor's name: Linux has it in a file, elsewhere Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_version(name: str) -> str | None:
    """The version of an installed package, else None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Work:
    """The least that must be done, however it is programmed."""

    flop: float
    """Additions and multiplications of the matrix products."""
    number_format: str = "fp32"
    """fp32 or bf16."""
    weights: int = 0
    """Bytes of weights that must be read each time."""
    reads: int = 0
    """How many times."""


@dataclass(frozen=True)
class Ceilings:
    """The best of all rounds: the most that was seen on this machine, on all cores that PyTorch may use."""

    flops: Mapping[str, float]
    """FLOP/s of matrix products by number format."""
    copies: Mapping[int, float]
    """B/s of a copy by the bytes it touches, reading and writing counted: what fits into a cache is faster."""

    def seconds(self, work: Work) -> float:
        """The time below which this work cannot be done: that of its products or of reading its weights."""
        smallest = max((size for size in self.copies if size <= work.weights), default=0)
        bandwidth = max(speed for size, speed in self.copies.items() if size >= smallest)
        return max(work.flop / self.flops[work.number_format], work.weights * work.reads / bandwidth)

    def share(self, work: Work, seconds: float) -> float:
        """How much of what is possible was reached in these seconds, 1 being all."""
        return self.seconds(work) / seconds


def measure_ceilings(repeat: int, size: int = 1024, touched: tuple[int, ...] = (1 << 21, 1 << 24, 1 << 29),
                     least_seconds: float = 0.2) -> tuple[Ceilings, list[Row]]:  # fmt: skip
    """Matrix products of `size` x `size`, and copies that touch this many bytes, on one core and on all."""
    rows: list[Row] = []

    def best(case: str, unit: str, work: Part) -> float:
        """Measure on one core and on all; the best of both, since on a busy machine all may do less than one."""
        seen: list[float] = []
        for where, cores in (("one core", 1), ("all cores", torch.get_num_threads())):
            values = take_turns({"": partial(speed, work, cores, least_seconds)}, repeat)[""]
            rows.append(Row("machine", case, where, unit, tuple(values)))
            seen += values
        return max(seen)

    flops, copies = {}, {}
    for name, dtype in FORMATS.items():
        a = torch.randn(size, size).to(dtype)

        def multiply(i: int, n: int, a: Tensor = a) -> float:
            return 2 * (a @ a).shape[0] ** 3

        flops[name] = best(f"product of {size} x {size} matrices, {name}", "FLOP/s", multiply)
    for n_bytes in touched:
        source, target = torch.ones(n_bytes // 8), torch.empty(n_bytes // 8)  # 4 bytes each, read and written

        def copy(i: int, n: int, source: Tensor = source, target: Tensor = target) -> float:
            return 8 * target.chunk(n)[i].copy_(source.chunk(n)[i]).numel()

        copies[n_bytes] = best(f"copy that touches {n_bytes / 2**20:g} MiB", "B/s", copy)
    return Ceilings(flops, copies), rows


def several_times(work: Part, times: int, cores: int, i: int) -> float:
    """The work of one thread, this many times over."""
    return sum(work(i, cores) for _ in range(times))


def speed(work: Part, cores: int, least_seconds: float) -> float:
    """Work done per second by this many threads, each alone: 1, 2, 4, … times until it takes long enough."""
    allowed = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        with all_cores() as compute:
            times = 1
            while True:
                timer = Timer()
                done = sum(compute(partial(several_times, work, times, cores), range(cores)))
                if (seconds := timer.seconds) >= least_seconds:
                    return done / seconds
                times *= 2
    finally:
        torch.set_num_threads(allowed)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def package(name: str) -> ModuleType | None:
    """An optional package, None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
