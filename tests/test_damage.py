"""A damaged file of a run or a checkpoint is refused in one line or has no effect; a sample of the campaign."""

import os

import pytest

from tests.support.damage_files import damage_all
from tests.support.sample import sample


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_damaged_file_is_refused_or_without_effect():
    counts, failures = damage_all(sample(80, 150))
    assert not failures
    assert len(counts) == 5 and all(count["refused"] for count in counts.values())
