"""The child process in which the user's script lives, and what goes between it and its worker.

main.py: init() --> load (prefetch.py) --> run() (entry_script.py) --> encode --> pipe to the worker
shared with worker/: protocol.py (packets and frames), status_block.py (what it is at), spec.py (what it is given)
"""
