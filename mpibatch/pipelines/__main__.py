"""`python -m mpibatch.pipelines RUN_DIR`: the process that runs a pipeline which a program has submitted."""

import argparse
import os
import sys
import traceback
from pathlib import Path

from mpibatch.errors import ExitStatus, MpibatchError
from mpibatch.liveness.lease import RunInUse
from mpibatch.pipelines.detached import end
from mpibatch.pipelines.directory import PipelineDirectory
from mpibatch.pipelines.runner import run_pipeline
from mpibatch.pipelines.status import PipelineState
from mpibatch.reporting.console import Console, prepare_streams


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mpibatch.pipelines", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    path: Path = parser.parse_args().run_dir
    prepare_streams()
    console = Console(sys.stderr)
    directory = PipelineDirectory(path.absolute())
    try:
        return run_pipeline(directory, os.environ, console.notify)
    except RunInUse as error:  # another runs it, and says how it goes
        console.notify(str(error))
        return error.status
    except MpibatchError as error:
        console.notify(str(error))
        end(directory, PipelineState.FAILED, str(error), error.status)
        return error.status
    except Exception as error:
        traceback.print_exc()
        end(directory, PipelineState.FAILED, f"unexpected {type(error).__name__}: {error}", ExitStatus.ERROR)
        return ExitStatus.ERROR


if __name__ == "__main__":
    sys.exit(main())
