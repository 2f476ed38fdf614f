"""`python -m mpibatch` is the same program as `mpibatch`."""

from mpibatch.cli import main

if __name__ == "__main__":
    main()
