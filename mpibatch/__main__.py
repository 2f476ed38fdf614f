"""`python -m mpibatch` is the same program as `mpibatch`."""

from mpibatch.cli.main import main

if __name__ == "__main__":
    main()
