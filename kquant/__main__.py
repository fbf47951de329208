"""`python -m kquant` is `kquant`."""

import sys

from kquant.cli import main

sys.exit(main())
