"""Several processes train one model together: each computes a share of the work.

torchrun starts the processes; without it there is one, and every function here does nothing:

    torchrun --standalone --nproc_per_node=2 -m minillm pretrain --text … --out …

The engine is PyTorch's FSDP2 (`fully_shard`): it adds up the gradients of all processes. In its simplest
setting each process holds all parameters (data parallel); with `shard` each holds a part of every tensor
and fetches the rest block by block, for a model that does not fit into one. gloo on CPUs is tested; the
paths for GPUs (nccl) are written but untried.

Reinforcement learning samples, and keeps more with the model than its weights. There each process takes every step as
if it were the only one (`alike`), and only what costs time is shared: the rows that are sampled and the micro-batches
are each computed by one process, and all get the results (`shared`).

Sources: Rajbhandari et al. 2019 (1910.02054, ZeRO), Zhao et al. 2023 (2304.11277, FSDP).
"""

import copy
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from minillm.plumbing.files import InputError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

Part = TypeVar("Part")
Result = TypeVar("Result")
Model = TypeVar("Model", bound=nn.Module)


ALIKE: ContextVar[bool] = ContextVar("alike", default=False)
"""Whether each process takes every step, inside of `alike`."""


def process_count() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def world_size() -> int:
    """Number of processes that each take a part of every batch; where they work alike, each takes all of it."""
    return 1 if ALIKE.get() else process_count()


def sharers() -> int:
    """Number of processes among which `shared` divides its items."""
    return process_count() if ALIKE.get() else 1


def rank() -> int:
    """Number of this process, from 0; only process 0 writes files and prints."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, and leave them at the end; gives this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":  # one GPU each
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # imported later, as the optimizers do, its functions would hold the group as a default argument: it would not end
    # before Python does, and one of its threads that still waits for Python then aborts a process that was done
    from torch.distributed.nn import functional  # noqa: F401

    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def alike(device: torch.device) -> Iterator[None]:
    """In this block each process does the same, and what is heavy is `shared`. All end with what one alone would have
    learned: to the last bit, but that a matrix product may round differently where it has fewer rows.

    An InputError that one of them meets ends all, and none leaves before the others. Raises InputError for a device
    whose tensors cannot be given to another process.
    """
    if process_count() > 1 and device.type != "cpu":
        raise InputError(f"several processes share this work on CPUs only: add --device cpu, or use one {device.type} "
                         "without torchrun")  # fmt: skip
    token = ALIKE.set(True)
    try:
        yield
        from_all(None)
    except Told:
        raise
    except InputError as error:
        from_all(Fault(str(error)))
    finally:
        ALIKE.reset(token)


def check_joined() -> None:
    """Raise InputError in a process that torchrun started next to others that know nothing of each other:
    they would all write the same files."""
    if process_count() < int(os.environ.get("WORLD_SIZE", "1")):
        raise InputError("this does not train in several processes: start it without torchrun")


@contextmanager
def spread(model: Model, shard: bool = False) -> Iterator[Model]:
    """The model to train: itself in one process, else a copy spread over all, copied back at the end.

    `model` has `blocks`, each of which is fetched as one; it stays where it is and may be on the CPU.
    """
    if world_size() == 1:
        yield model
        return
    from torch.distributed.device_mesh import init_device_mesh  # here: half a second that one process need not wait
    from torch.distributed.fsdp import FSDPModule, fully_shard

    worker = copy.deepcopy(model)
    device = next(model.parameters()).device.type
    shape = (1, world_size()) if shard else (world_size(), 1)  # copies of the model x parts of each
    mesh = init_device_mesh(device, shape, mesh_dim_names=("copies", "parts"))
    units: list[nn.Module] = [*worker.get_submodule("blocks").children(), worker]
    for unit in units:
        fully_shard(unit, mesh=mesh)
    for module in worker.modules():
        if isinstance(module, FSDPModule):  # gradients are added, not averaged: losses are shares of one sum
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    yield worker
    with torch.no_grad():
        for own, trained in zip(model.parameters(), worker.parameters(), strict=True):
            own.copy_(whole(trained))


def is_spread(tensor: Tensor) -> TypeGuard["DTensor"]:
    """Whether each process holds a part of this tensor only."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over the processes; every process must ask for it."""
    return tensor.full_tensor() if is_spread(tensor) else tensor


def spread_like(tensor: Tensor, model: Tensor) -> Tensor:
    """This process's part of a whole tensor, spread as `model` is."""
    if is_spread(model):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None)
    return tensor.to(model.device)


def own_share(parts: Sequence[Part]) -> list[tuple[Part, int]]:
    """The micro-batches that this process computes, each with 1; all of them where there is only one process.

    All processes compute equally many, since each takes part in every sum: one that has too few computes
    another's once more and counts it 0 times.
    """
    n = world_size()
    counted = [(part, 1) for part in parts] + [(parts[0], 0)] * (-len(parts) % n)
    return counted[rank() % n :: n]


def wait_for_all() -> None:
    """Go on when every process has come here."""
    from_all(None)


@dataclass(frozen=True)
class Fault:
    """What a process that cannot go on gives instead of what the others wait for."""

    text: str


class Told(InputError):
    """The fault of one process, raised in all of them."""


def from_all(value: object) -> list:
    """What each process gives, in the order of their ranks. Raises `Told` if one of them gives a `Fault`."""
    everyone = [value] * process_count()
    if process_count() > 1:
        dist.all_gather_object(everyone, value)
    for given in everyone:
        if isinstance(given, Fault):
            raise Told(given.text)
    return everyone


def shared(
    function: Callable[[Part], Result],
    items: Sequence[Part],
    compute: Callable[[Callable[[Part], Result], Sequence[Part]], Iterable[Result]] = map,
) -> Iterator[Result]:
    """Like the builtin `map`; of n processes that work alike each computes every n-th item and gets all results.

    A function that returns nothing works in place: each process calls it with all items. `compute` maps one's own.
    """
    n = sharers()
    if n == 1:
        yield from compute(function, items)
        return
    results = from_all(list(compute(function, items[rank() :: n])))
    for i, item in enumerate(items):
        result = results[i % n][i // n]
        yield function(item) if result is None and i % n != rank() else result


def main_does(work: Callable[[], object]) -> None:
    """Process 0 does it; the others wait. An InputError there is raised in all of them."""
    fault = None
    if rank() == 0:
        try:
            work()
        except InputError as error:
            fault = str(error)
    fault = from_all(fault)[0]
    if fault is not None:
        raise InputError(fault)


def sum_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Each figure summed over all processes, in their order."""
    if world_size() == 1:
        return dict(metrics)
    total: Counter[str] = Counter()
    for one in from_all(dict(metrics)):
        for name, value in one.items():
            total[name] += value
    return dict(total)


def check_equal(facts: Mapping[str, object]) -> None:
    """Raise InputError, naming the first difference, unless all processes were given the same."""
    for other in from_all(dict(facts)):
        for name in sorted(facts.keys() | other.keys()):
            if facts.get(name) != other.get(name):
                raise InputError(f"{name} differs between the processes of torchrun: give all the same (a file, not -; "
                                 "a reward that leaves nothing to chance)")  # fmt: skip
