"""`python -m tracejit`: the same as the command `tracejit`."""

from tracejit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
