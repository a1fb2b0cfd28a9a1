"""Parts of experiments in several processes, one thread each.

Every process goes through the same list of parts, each from another place in it, and takes those that are neither
kept nor being made by another. The list is ordered by seed, so a process mostly stays with one seed, whose base
model and assistant it has at hand. Nothing has to be shared out, and none waits at the end while another has a
list of its own.
"""

import multiprocessing
import queue
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from minillm.claims.experiment import Claim
from minillm.claims.parts import Part, Workshop
from minillm.plumbing.files import InputError, write_text

Find = Callable[[str], Claim]
"""Slug -> claim: a claim cannot be sent to another process, its name can."""
Report = Callable[[Part, str], None]
"""Called with each part that is done, and what went wrong, if anything did."""


def work(parts: Iterable[Part], find: Find, shop: Workshop, report: Report) -> None:
    """Make those of the parts that nobody makes or has made, or has failed to. One that fails is reported, and the
    others are made."""
    for part in parts:
        claim = find(part.slug)
        if shop.is_kept(claim, part) or shop.fault(claim, part).is_file():
            continue
        try:
            made = shop.part(claim, part, wait=False)
        except Exception as error:  # whatever a claim's code raises, the other claims have nothing to do with it
            said = str(error) if isinstance(error, InputError) else traceback.format_exc()
            write_text(shop.fault(claim, part), said)
            report(part, said)
        else:
            if made is not None:
                report(part, "")


def work_alone(parts: Sequence[Part], find: Find, shop: Workshop, reports: Any) -> None:
    """`work` in a process of its own, for as long as the process that started it lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends the others
    torch.set_num_threads(1)
    starter = multiprocessing.parent_process()

    def while_wanted() -> Iterator[Part]:
        for part in parts:
            if starter is None or not starter.is_alive():
                return
            yield part

    work(while_wanted(), find, shop, lambda part, error: reports.put((part, error)))


def work_together(parts: Sequence[Part], find: Find, shop: Workshop, jobs: int, report: Report) -> None:
    """`work` in `jobs` processes; returns when all have ended, however they did."""
    spawn = multiprocessing.get_context("spawn")
    reports: Any = spawn.Queue()
    bare = replace(shop, bar=False, labs={})
    ordered = sorted(parts, key=lambda part: (not part.choosing, part.seed))
    processes = []
    for i in range(jobs):
        start = i * len(ordered) // jobs
        order = ordered[start:] + ordered[:start]
        processes.append(spawn.Process(target=work_alone, args=(order, find, bare, reports), daemon=True))
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes) or not reports.empty():
            try:
                report(*reports.get(timeout=0.5))
            except queue.Empty:
                continue
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
        reports.close()
