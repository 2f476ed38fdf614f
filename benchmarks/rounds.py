"""Rounds: every way of doing something once a round, in turn, so that what else the machine does meets all alike."""

from collections.abc import Callable, Collection, Mapping, Sequence

from benchmarks.peers import PeerFailed

SELDOM = 2  # rounds


def in_turn(
    ways: Mapping[str, Callable[[], float]], rounds: int, notes: list[str], seldom: Collection[str] = ()
) -> dict[str, list[float]]:
    """What each way returned, a value a round; every other round goes backwards.

    seldom: those that are so far behind that the first SELDOM rounds will do
    A peer that fails is left out, which is noted; a failure of anything else ends the measurement.
    """
    found: dict[str, list[float]] = {who: [] for who in ways}
    for number in range(rounds):
        for who in _order(list(ways), number):
            if who in found and (number < SELDOM or who not in seldom):
                try:
                    found[who].append(ways[who]())
                except PeerFailed as error:
                    notes.append(f"{who} is left out: {error}")
                    del found[who]
        print(
            f"  round {number + 1}: " + ", ".join(f"{who} {values[-1]:.5g}" for who, values in found.items()),
            flush=True,
        )
    return found


def _order(ways: Sequence[str], number: int) -> Sequence[str]:
    return ways[:: 1 - 2 * (number % 2)]
