"""The main job: the same program as the installed command `kquant`."""

import sys

from kquant.cli import main

if __name__ == "__main__":
    sys.exit(main())
