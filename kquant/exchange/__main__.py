"""`python -m kquant.exchange`: the simulated KIS as a process of its own."""

import sys

from kquant.exchange.servers.process import main

if __name__ == "__main__":
    sys.exit(main())
