"""An executor's results on their way to its rank, several in one write.

    add(frame) --> held --+-- flush --> pipe         the rank is asleep until something arrives

Each write wakes the rank, which takes the core from an executor: a thousand writes a second cost a third of it. So what
is quick to come is held back for a moment. What is held when the process dies is run again, and charged to nobody: the
status block says what was in work.
"""

from mpibatch.files import write_all

HELD_SECONDS = 0.02
HELD_BYTES = 64 << 10
LONG_SECONDS = 0.004  # an attempt of so much is worth a write of its own


class ResultPipe:
    """Writes frames to `descriptor`, in order."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._frames: list[bytes] = []
        self._bytes = 0
        self._held_until = 0.0

    def send(self, frame: bytes) -> None:
        """At once, after all that is held."""
        self._frames.append(frame)
        self.flush()

    def hold(self, frame: bytes, now: float, seconds: float) -> None:
        """With others, soon. now: seconds of any clock that goes on; seconds: what the attempt took."""
        if not self._frames:
            self._held_until = now + HELD_SECONDS
        self._frames.append(frame)
        self._bytes += len(frame)
        if seconds > LONG_SECONDS or now > self._held_until or self._bytes > HELD_BYTES:
            self.flush()

    def send_large(self, *parts: bytes) -> None:
        """A frame in parts, at once and after all that is held, without another copy of them."""
        self.flush()
        write_all(self._descriptor, *parts)

    def flush(self) -> None:
        """Everything that is held; to be called before anything is waited for."""
        if self._frames:
            frames, self._frames, self._bytes = self._frames, [], 0
            write_all(self._descriptor, b"".join(frames))
