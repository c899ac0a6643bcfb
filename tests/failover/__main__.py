"""`python -m tests.failover`, see run.py."""

import sys

from tests.failover.run import main

if __name__ == "__main__":
    sys.exit(main())
