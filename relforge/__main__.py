"""`python -m relforge` is the `relforge` command."""

from relforge.cli import main

if __name__ == "__main__":
    main()
