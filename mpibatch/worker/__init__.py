"""A rank's half of the executor: starts it, feeds it, watches it, ends it.

worker (in the MPI process)                        supervisor          executor (the user's script)
ExecutorProcess: start, send, recall, kill     --> waits, kills    --> init(); run(mini_batch); ...
Watchdog thread: reads the status block            all descendants     mpibatch/executor/
"""
