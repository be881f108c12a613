"""`python -m kugetsu`: the command line."""

from kugetsu.cli.main import main

if __name__ == "__main__":
    main()
