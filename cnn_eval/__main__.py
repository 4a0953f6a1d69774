"""The program `python -m cnn_eval`."""

from cnn_eval.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
