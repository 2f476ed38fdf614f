"""Isolation finds exactly the poison items, and runs no part twice."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.scheduling.bisection import Bisection, ItemRange


@given(st.integers(2, 300), st.data())
def test_exactly_the_poison_items_are_lost(items: int, data: st.DataObject) -> None:
    """Any set of poison items, with interruptions: rows in item order, each part run once, few runs for few items."""
    poison = data.draw(st.sets(st.integers(0, items - 1), max_size=8))
    interruptions = data.draw(st.integers(0, 5))
    isolation: Bisection[list[int]] = Bisection(items)
    ran: list[ItemRange] = []
    lost: list[int] = []
    while (part := isolation.next_range()) is not None:
        if interruptions and data.draw(st.booleans()):
            interruptions -= 1
            isolation.requeue(part)
            continue
        ran.append(part)
        contents = list(range(part.first, part.last))
        if not poison.intersection(contents):
            isolation.succeeded(part, contents)
        elif isolation.failed(part):
            lost += contents
    assert lost == sorted(poison)
    assert [item for rows in isolation.rows() for item in rows] == [i for i in range(items) if i not in poison]
    assert len(set(ran)) == len(ran)
    assert len(ran) <= 2 + 2 * len(poison) * items.bit_length()


@given(st.integers(2, 1000))
def test_halves_leave_nothing_out(items: int) -> None:
    left, right = ItemRange(0, items).halves()
    assert (left.first, left.last, right.last) == (0, right.first, items)
    assert left.items
    assert right.items
    assert abs(left.items - right.items) <= 1
