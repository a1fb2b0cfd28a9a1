"""Several processes train one model together: each computes a share of every batch, and the gradients
are added up before the optimizers step, so all processes keep the same parameters.

This is data-parallel training (what `DistributedDataParallel` does, without its overlap of computing
and sending). torchrun starts the processes; without it there is one, and nothing here does anything:

    torchrun --standalone --nproc_per_node=2 -m minillm pretrain --text … --out …
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from minillm.plumbing.files import InputError


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


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
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def check_joined() -> None:
    """Raise InputError in a process that torchrun started beside others that know nothing of each other: they
    would all write the same files."""
    if world_size() < int(os.environ.get("WORLD_SIZE", "1")):
        raise InputError("only pretrain trains in several processes: start this without torchrun")


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if world_size() > 1:
        dist.barrier()


def sum_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its sum over all processes; those that have none count as zero."""
    if world_size() == 1:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.flatten() for g in gradients])  # one message instead of one for each matrix
    dist.all_reduce(flat)
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)


def sum_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Each figure summed over all processes, in their order."""
    if world_size() == 1:
        return dict(metrics)
    everyone: list[Mapping[str, float]] = [{}] * world_size()
    dist.all_gather_object(everyone, dict(metrics))
    total: Counter[str] = Counter()
    for one in everyone:
        for name, value in one.items():
            total[name] += value
    return dict(total)
