"""After a crash of the machine at any moment a resume leaves the same bytes, and what says `completed` is complete."""

import pytest

from mpibatch.runs import recovery
from tests.runs.power_loss import crashes
from tests.runs.resuming import FORMATS


@pytest.mark.parametrize("file_name", FORMATS)
def test_a_crash_at_any_moment_resumes_to_the_same(file_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m tests.runs.power_loss` does more of them."""
    monkeypatch.setattr(recovery, "READ_WHOLE_UP_TO", recovery.READ_WHOLE_UP_TO)  # put back in the end
    crashes(file_name, 25, seed=1)
