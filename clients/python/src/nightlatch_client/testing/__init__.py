"""For the tests of whoever uses nightlatch_client: a service without a network, and a clock that is set by
hand.
"""

from nightlatch_client.testing.clock import ManualClock
from nightlatch_client.testing.server import FakeServer

__all__ = ["FakeServer", "ManualClock"]
