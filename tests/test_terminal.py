"""Output that never stops the work: broken pipes, full disks, closed streams, other locales."""

import io
import os
import sys
from pathlib import Path

import pytest

from minillm.plumbing.terminal import Lasting, Progress, note, standard_streams

FULL = Path("/dev/full")


def broken_pipe() -> io.TextIOWrapper:
    """A stream whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    return open(write, "w", encoding="utf-8", buffering=1)


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"a broken pipe": broken_pipe, "closed": closed, "none": lambda: None}
if FULL.exists():
    STREAMS["a full disk"] = lambda: FULL.open("w", buffering=1)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_bar_and_lines_on_a_broken_stream_do_not_stop_the_work(kind, monkeypatch):
    stream = STREAMS[kind]()
    monkeypatch.setattr("sys.stderr", stream)
    done = []
    with Progress(range(50), mininterval=0, miniters=1) as bar:
        for i in bar:
            note(f"step {i}")
            bar.set_postfix(loss=i)
            done.append(i)
    assert done == list(range(50))
    Lasting(stream).write("more\n")
    Lasting(stream).flush()
    if stream is not None:
        stream.close()  # what was not written does not come up again at the end


def test_a_stream_that_works_gets_everything_and_a_line_clears_the_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with Progress(total=2, desc="work", mininterval=0, miniters=1) as bar:
        bar.update()
        note("halfway, 山")
        bar.update()
    shown = sys.stderr.getvalue()
    assert "\rhalfway, 山\n" in shown  # at the beginning of a line: the bar was wiped away
    assert "work:  50%" in shown and "work: 100%" in shown


def test_a_line_goes_where_it_is_told(capsys):
    note("here")
    note("there", sys.stdout)
    assert capsys.readouterr() == ("there\n", "here\n")


def test_a_bar_that_is_disabled_shows_nothing(capsys):
    assert list(Progress(range(3), disable=True)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_lasting_stream_is_equal_to_the_stream_itself(capsys):
    assert Lasting(sys.stderr) == sys.stderr and Lasting(Lasting(sys.stderr)) == Lasting(sys.stderr)
    assert Lasting(sys.stdout) != sys.stderr
    assert Lasting(sys.stdout).isatty() is False


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "utf-16"])
def test_the_streams_of_a_program_are_utf8_in_every_locale(encoding, monkeypatch):
    given, out, err = io.BytesIO("你好 😀\n".encode()), io.BytesIO(), io.BytesIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given, encoding))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, encoding))
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(err, encoding))
    before = sys.stdin, sys.stdout, sys.stderr
    with standard_streams(lasting=True):
        print(input())
        print("错误", file=sys.stderr)
    assert (out.getvalue().decode(), err.getvalue().decode()) == ("你好 😀\n", "错误\n")
    assert (sys.stdin, sys.stdout, sys.stderr) == before


def test_names_of_files_are_shown_as_what_they_are_in_utf8(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, "ascii"))
    with standard_streams(lasting=False):
        print("山.txt".encode().decode("ascii", "surrogateescape"))  # as a locale without UTF-8 reads a name
        print("中.txt".encode("gbk").decode("utf-8", "surrogateescape"))  # a name from a zip of Windows
        print("\ud800|")  # half of a pair, from JSON
    first, second, third = out.getvalue().decode().splitlines()
    assert first == "山.txt"
    assert second.endswith(".txt") and "\ufffd" in second
    assert third == "\ufffd|"


@pytest.mark.parametrize("lasting", [True, False])
def test_a_broken_standard_output_stops_only_what_is_for_printing(lasting, monkeypatch):
    monkeypatch.setattr("sys.stdout", broken_pipe())
    monkeypatch.setattr("sys.stderr", broken_pipe())
    with standard_streams(lasting):
        print("lost", file=sys.stderr)
        if lasting:
            print("lost")
        else:
            with pytest.raises(BrokenPipeError):
                print("lost", flush=True)
    sys.stdout.close()  # raises nothing: what was left in the buffer is gone


def test_streams_that_are_missing_are_empty(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", None)
    with standard_streams(lasting=False):
        print("nowhere")
        print("nowhere", file=sys.stderr)
        with pytest.raises(EOFError):
            input()
