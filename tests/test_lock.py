"""A folder that one process at a time writes into."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from minillm.plumbing.files import InputError
from minillm.plumbing.lock import NAME, locked


def hold(folder: Path, ready, seconds: float) -> None:
    with locked(folder):
        ready.set()
        time.sleep(seconds)


def holder(folder: Path, seconds: float = 60.0) -> multiprocessing.Process:
    """Another process that holds the folder."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(folder, ready, seconds), daemon=True)
    process.start()
    assert ready.wait(60)
    return process


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(InputError, match=rf"another process \({process.pid}\)"), locked(tmp_path):
            pass
        assert (tmp_path / NAME).is_file()
    finally:
        process.kill()
        process.join()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_nothing_to_clean_up(tmp_path):
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / NAME).is_file()
    with locked(tmp_path):
        assert (tmp_path / NAME).read_text().strip() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_one_that_waits_gets_it_when_the_other_is_done(tmp_path):
    process = holder(tmp_path, seconds=0.6)
    with locked(tmp_path, wait=True):
        process.join(10)
        assert not process.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_two_names_in_one_folder_are_two_locks(tmp_path):
    with locked(tmp_path, "a"), locked(tmp_path, "b"):
        with pytest.raises(InputError), locked(tmp_path, "a"):
            pass


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written to"), locked(tmp_path):
        pass


def test_many_that_come_and_go_never_hold_it_together(tmp_path):
    """Each adds to a number that only the lock protects, while others make and remove the lock's file."""
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count_up, args=(tmp_path, 40)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "160"


def count_up(folder: Path, times: int) -> None:
    for _ in range(times):
        while True:
            try:
                with locked(folder):
                    number = int((folder / "count").read_text())
                    (folder / "count").write_text(str(number + 1))
                break
            except InputError:
                time.sleep(0.001)
