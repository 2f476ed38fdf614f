"""mini_batch_size means the same as in ParallelRunStep, and nonsense is never taken for a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.units import parse_size
from mpibatch.config.values import LARGEST, Size, Unit


@pytest.mark.parametrize(
    ("type", "written", "size"),
    [
        (InputType.FILES, None, Size(10, Unit.ITEMS)),
        (InputType.FILES, 3, Size(3, Unit.ITEMS)),
        (InputType.FILES, "3", Size(3, Unit.ITEMS)),
        (InputType.CSV, None, Size(2**20, Unit.BYTES)),
        (InputType.CSV, 1024, Size(1024, Unit.BYTES)),
        (InputType.CSV, "1KB", Size(1024, Unit.BYTES)),
        (InputType.CSV, " 10 mb ", Size(10 * 2**20, Unit.BYTES)),
        (InputType.JSONL, "1GB", Size(2**30, Unit.BYTES)),
        (InputType.PARQUET, None, None),
        (InputType.PARQUET, "500 rows", Size(500, Unit.ROWS)),
        (InputType.PARQUET, "1MB", Size(2**20, Unit.BYTES)),
        (InputType.HDF5, None, None),
        (InputType.HDF5, "1 row", Size(1, Unit.ROWS)),
    ],
)
def test_what_users_write(type: InputType, written: object, size: Size | None) -> None:
    assert parse_size(written, type) == size


@pytest.mark.parametrize("type", InputType)
@pytest.mark.parametrize(
    "written",
    [
        "5 bananas",
        "",
        " ",
        0,
        -1,
        "0",
        "-1",
        True,
        1.5,
        "1.5MB",
        [],
        {},
        "1e3",
        "\u0661\u0660",
        pytest.param("9" * 5000, id="huge"),
        2**63,
        "0 rows",
    ],
)
def test_nonsense_is_refused_with_what_is_allowed(type: InputType, written: object) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_size(written, type)


@pytest.mark.parametrize(
    ("type", "written"),
    [(InputType.FILES, "1MB"), (InputType.FILES, "5 rows"), (InputType.HDF5, 100)],
)
def test_units_of_another_type_are_refused(type: InputType, written: object) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_size(written, type)


@given(st.sampled_from(InputType), st.text() | st.integers() | st.floats() | st.booleans())
def test_anything_gives_a_positive_size_or_a_value_error(type: InputType, written: object) -> None:
    try:
        size = parse_size(written, type)
    except ValueError:
        return
    assert size is not None
    assert 1 <= size.value <= LARGEST
