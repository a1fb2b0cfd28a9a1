"""How much a call works, measured so that no busy machine disturbs it."""

import sys
from collections.abc import Callable


def steps_of(function: Callable[[], object]) -> int:
    """Lines of Python that a call executes."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count
