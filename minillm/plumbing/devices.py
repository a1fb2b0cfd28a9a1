"""Which device computes, in which number format, and how long it took."""

import time

import torch

from minillm.plumbing.files import InputError
from minillm.plumbing.precision import bf16_is_faster


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes CUDA, else Apple's MPS, else the CPU. Raises InputError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if torch.device(name).type not in ("cpu", "cuda", "mps"):
            raise RuntimeError
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError):
        raise InputError(f"device {name!r} is not here: use cpu") from None


def uses_bf16(device: torch.device, precision: str) -> bool:
    """Whether matrix products run in bf16: if asked for, or where the device is faster at it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bf16_is_faster()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which matrix products use bf16 if it pays; norms and losses stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(device, precision))


class Timer:
    """Seconds since it was made: `timer = Timer(); …; timer.seconds`."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begin
