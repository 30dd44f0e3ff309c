"""`python -m misstep` and the console script."""

from misstep.cli import main

if __name__ == "__main__":
    main()
