"""Runs a script of a script step as `python SCRIPT ARGUMENTS` would, with Azure's modules filled in where missing.

python -m mpibatch.script_main SCRIPT ARGUMENTS
"""

import os
import runpy
import sys

from mpibatch.azure_names import fill_in


def main() -> None:
    script = os.path.abspath(sys.argv[1])
    sys.argv = [script, *sys.argv[2:]]
    sys.path[0] = os.path.dirname(script)
    fill_in()
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
