"""Starting ranks: mpirun here, Slurm elsewhere. Starts `python -m mpibatch.mpi`, never imports it."""
