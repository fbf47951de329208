"""The main job: the same program as the installed command `kquant`."""

import sys

try:
    from kquant.cli import main
    from kquant.cli.app import app  # noqa: F401  what it needs is installed
except ModuleNotFoundError as error:
    sys.exit(f"run.py: {error.name} is not installed here: run `make setup`, then `.venv/bin/python run.py`")

if __name__ == "__main__":
    sys.exit(main())
