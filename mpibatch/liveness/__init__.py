"""Who is alive, and how what is not is ended: helper processes, the owner's lease, failure detection, timers."""
