"""mpibatch: batch inference and scoring over MPI and Slurm."""

__version__ = "0.1.0"
