"""What a cluster gives a process: launchers' variables, Slurm's commands, whether MPI and launcher fit together."""
