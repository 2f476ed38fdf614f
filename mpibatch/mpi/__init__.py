"""The ranks: wire form of the messages, rank 0's loop, the other ranks' loop. The only importer of mpi4py."""
