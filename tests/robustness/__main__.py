"""`python -m tests.robustness`, see run.py."""

import sys

from tests.robustness.run import main

if __name__ == "__main__":
    sys.exit(main())
