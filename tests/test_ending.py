"""Guards that a process ends with its own status: whatever threads of pyarrow do meanwhile, and after exit hooks."""

import os
import subprocess
import sys
import textwrap

READING = """
    import io, threading, time
    import pyarrow as pa
    import pyarrow.parquet as pq

    class Slow(io.BytesIO):
        def read(self, size=-1):
            if isinstance(threading.current_thread(), threading._DummyThread):  # it is one of pyarrow's
                reading.set()
                time.sleep(0.3)
            return super().read(size)

    def read():
        pq.read_table(Slow(buffer.getvalue()))

    class Dwelling:  # the finalization of the interpreter lasts until after the read
        def __del__(self, sleep=time.sleep):
            sleep(1)

    dwelling = Dwelling()
    buffer, reading = io.BytesIO(), threading.Event()
    pq.write_table(pa.table({"a": [1, 2, 3]}), buffer)

    def main():
        threading.Thread(target=read, daemon=True).start()
        reading.wait()
        return 75
"""


def ended(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONUNBUFFERED": ""}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_reading_thread_of_pyarrow_does_not_abort_it() -> None:
    result = ended(READING + "\n    from mpibatch.ending import exit_with\n    exit_with(main)")
    assert (result.returncode, result.stderr) == (75, "")


def test_what_is_registered_is_run_and_what_is_printed_arrives() -> None:
    result = ended(
        """
        import atexit, threading, time
        from mpibatch.ending import exit_with

        def late():
            time.sleep(0.2)
            print("thread")

        def main():
            atexit.register(print, "hook")
            threading.Thread(target=late).start()
            print("main")
            return 3

        exit_with(main)
        """
    )
    assert (result.returncode, result.stdout.split()) == (3, ["main", "thread", "hook"])


def test_an_exception_is_an_error() -> None:
    result = ended("from mpibatch.ending import exit_with\nexit_with(lambda: 1 // 0)")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


def test_a_forked_child_has_its_own_status() -> None:
    result = ended(
        """
        import os, sys
        from mpibatch.ending import exit_with

        def main():
            child = os.fork()
            if child == 0:
                sys.exit(9)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        exit_with(main)
        """
    )
    assert result.returncode == 9


def test_a_closed_output_changes_nothing() -> None:
    result = ended(
        """
        import os
        from mpibatch.ending import exit_with

        def main():
            read, write = os.pipe()
            os.dup2(write, 1)
            os.close(read), os.close(write)
            print("nobody reads this")
            return 4

        exit_with(main)
        """
    )
    assert (result.returncode, result.stderr) == (4, "")
