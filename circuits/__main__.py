"""The program `python -m circuits`."""

from circuits.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
