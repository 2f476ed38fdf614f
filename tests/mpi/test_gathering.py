"""Results that one look has brought are taken together, and nothing is reordered or lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.mpi.gathering import ResultsBatch, gathered
from mpibatch.worker.messages import Heartbeat, Results, TasksReturned
from tests.scheduling.attempts import Attempt, records

results = st.lists(st.integers(0, 99), max_size=4).map(
    lambda indices: Results(
        records([Attempt(index) for index in indices]).tobytes(), b"".join(b"row %d\n" % index for index in indices)
    )
)
messages = st.lists(
    st.tuples(st.integers(0, 5), results | st.just(Heartbeat()) | st.just(TasksReturned([1], recalled=True)))
)


def in_pieces(look: list[tuple[int, object]]) -> list[tuple[int, object]]:
    """One entry a record, or other message; the data of a batch is checked as a whole."""
    pieces: list[tuple[int, object]] = []
    for rank, found in look:
        message = ResultsBatch.of([(rank, found)]) if isinstance(found, Results) else found
        if isinstance(message, ResultsBatch):
            assert message.data == b"".join(b"row %d\n" % index for index in message.records["index"])
            for part, first, last in message.parts:
                pieces += [(part, int(index)) for index in message.records["index"][first:last]]
        else:
            pieces.append((rank, message))
    return pieces


@given(messages, st.integers(1, 5))
def test_everything_comes_once_and_in_order(look: list[tuple[int, object]], at_most: int) -> None:
    together = list(gathered(look, at_most))
    assert in_pieces(together) == in_pieces(look)
    batches = [message for _, message in together if isinstance(message, ResultsBatch)]
    assert all(1 <= len(batch.parts) <= at_most for batch in batches)


def test_results_that_follow_each_other_are_one_batch() -> None:
    """Another message stays between those before and after it: a schema comes before the rows that need it."""
    one = Results(records([Attempt(1)]).tobytes(), b"row 1\n")
    look = [(1, one), (2, one), (1, Heartbeat()), (3, one)]
    assert [type(message) for _, message in gathered(look, 100)] == [ResultsBatch, Heartbeat, ResultsBatch]


def test_a_large_one_is_a_batch_of_its_own_and_is_not_copied() -> None:
    one = Results(records([Attempt(1)]).tobytes(), b"row 1\n")
    rows = bytearray(b"row 2\n")
    large = Results(records([Attempt(2)]).tobytes(), memoryview(rows))
    batches = list(gathered([(1, one), (2, one), (3, large), (4, one)], 100))
    assert [rank for rank, _ in batches] == [1, 3, 4]
    assert [batch.parts for _, batch in batches] == [((1, 0, 1), (2, 1, 2)), ((3, 0, 1),), ((4, 0, 1),)]
    assert batches[1][1].data.obj is rows
