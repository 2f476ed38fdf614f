"""The cage around user code.

worker (in the MPI process)                 guardian             executor (the user's script)
Executor: start, send, take back, kill  --> waits, kills     --> init(); run(mini_batch); ...
Watchdog thread: reads the slot             all descendants      child.py, entry.py
"""
