"""The pure scheduler: events in, actions out. No MPI, file, thread or clock; time is an argument."""
