"""Planning on all ranks: a `map` whose function is applied wherever a rank waits for work.

    rank 0:  Spread(function, arguments) --Ask, Question--> another rank: Answering --Answer--> results, in order

The footers of a million files, or the quotes in a terabyte of text, take one rank too long. Rank 0 takes part, and
works alone at first: most plans are made in less time than the other ranks need to import what reads the data. What it
has asked for and gets late it does itself, so that a rank that was stopped or lost costs time and nothing else.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mpibatch.errors import InputError, MpibatchError
from mpibatch.mpi.pace import Pace
from mpibatch.mpi.transport import Transport

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
AHEAD = 2  # questions to a rank at a time: one it works on, one that waits
MOST_WAITING = 4096
LATE_SECONDS = 2.0  # and four times as long as rank 0 has taken for one itself
Function = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """Rank 0 to another: questions of this `mapping` are about `function`. Once, since it may be large."""

    mapping: int
    function: Function


@dataclass(frozen=True, slots=True)
class Question:
    """Rank 0 to another: what is the function's value for this argument?"""

    mapping: int
    number: int
    argument: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """value: of the function; error: what it raised instead."""

    mapping: int
    number: int
    value: Any
    error: MpibatchError | None = None


class Answering:
    """The other ranks' side."""

    def __init__(self) -> None:
        self._ask: Ask | None = None

    def hear(self, message: object) -> Answer | None:
        """The answer to a Question; None to anything else."""
        if isinstance(message, Ask):
            self._ask = message
        if not isinstance(message, Question) or self._ask is None:
            return None
        try:
            return _answer(self._ask.function, message)
        except Exception as error:
            logger.exception("planning")
            explained = InputError(f"an input could not be looked at: {type(error).__name__}: {error}")
            return Answer(message.mapping, message.number, None, explained)


def _answer(function: Function, question: Question) -> Answer:
    try:
        return Answer(question.mapping, question.number, function(question.argument))
    except MpibatchError as error:
        return Answer(question.mapping, question.number, None, error)


class Spread:
    """Rank 0's side, to be called as `map` is; the results of one call are to be used up before the next call.

    patience: seconds that rank 0 works alone; clock: like time.monotonic
    """

    def __init__(
        self, transport: Transport, patience: float = PATIENCE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._alone_until = clock() + patience
        self._helpers = set(range(1, transport.size))
        self._mapping = 0

    def __call__(self, function: Function, arguments: Iterable[Any]) -> Iterator[Any]:
        self._mapping += 1
        under_way, rest, wanted, pace = _UnderWay(), enumerate(arguments), 0, Pace()
        while True:
            if self._clock() > self._alone_until:
                self._ask(under_way, function, rest)
            if (answer := under_way.answers.pop(wanted, None)) is not None:
                if answer.error is not None:
                    raise answer.error
                yield answer.value
                wanted += 1
                continue
            asked = under_way.asked.get(wanted)
            following = next(rest, None) if asked is None or under_way.has_room else None
            if following is not None:
                self._work(under_way, function, *following)
            elif asked is None:
                return
            elif self._clock() - asked.since > LATE_SECONDS + 4 * under_way.slowest:
                logger.warning("rank %d is late with a part of the planning; rank 0 does it", asked.rank)
                self._helpers.discard(asked.rank)
                self._work(under_way, function, wanted, asked.argument)
            else:
                pace.rest([], busy=self._hear(under_way))

    def _ask(self, under_way: "_UnderWay", function: Function, rest: Iterator[tuple[int, Any]]) -> None:
        """Keeps the others busy."""
        self._hear(under_way)
        for rank in sorted(self._helpers):
            while under_way.wants(rank) and (following := next(rest, None)) is not None:
                if rank not in under_way.told:
                    under_way.told.add(rank)
                    self._transport.send(rank, Ask(self._mapping, function))
                number, argument = following
                under_way.asked[number] = _Asked(rank, argument, self._clock())
                under_way.owed[rank] += 1
                self._transport.send(rank, Question(self._mapping, number, argument))

    def _hear(self, under_way: "_UnderWay") -> bool:
        """Takes answers; returns whether anything has come. Who has died is not asked again, and is late."""
        messages = self._transport.receive()
        self._helpers.difference_update(self._transport.take_lost())
        for rank, message in messages:
            if isinstance(message, Answer) and message.mapping == self._mapping:
                under_way.owed[rank] -= 1
                if under_way.asked.pop(message.number, None) is not None:  # else it came late, and was done here
                    under_way.answers[message.number] = message
        return bool(messages) or self._transport.sending

    def _work(self, under_way: "_UnderWay", function: Function, number: int, argument: Any) -> None:
        """Rank 0 does one itself."""
        began = self._clock()
        under_way.asked.pop(number, None)
        under_way.answers[number] = _answer(function, Question(self._mapping, number, argument))
        under_way.slowest = max(under_way.slowest, self._clock() - began)


@dataclass(frozen=True, slots=True)
class _Asked:
    rank: int
    argument: Any
    since: float


@dataclass(slots=True)
class _UnderWay:
    """One mapping: what was asked of whom, and answers that wait for their turn."""

    asked: dict[int, _Asked] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    owed: Counter[int] = field(default_factory=Counter)  # by rank: questions not answered
    told: set[int] = field(default_factory=set)
    slowest: float = 0.0

    @property
    def has_room(self) -> bool:
        """For more answers out of turn, which wait in memory."""
        return len(self.answers) < MOST_WAITING

    def wants(self, rank: int) -> bool:
        """Whether `rank` is to be asked more."""
        return self.has_room and self.owed[rank] < AHEAD
