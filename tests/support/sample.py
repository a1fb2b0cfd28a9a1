"""How much of a campaign runs: a sample with the other tests, all of it with MINILLM_WHOLE=1."""

import os


def sample(usual: int, whole: int) -> int:
    """The size of a campaign today."""
    return whole if os.environ.get("MINILLM_WHOLE") else usual
