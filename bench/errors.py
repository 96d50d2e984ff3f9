"""What can go wrong in a load test, beside what it measures.

LoaError
└── BenchError       the run could not be done or finished; its sentence says why and the mend
"""

from __future__ import annotations

from loacodecs.errors import LoaError


class BenchError(LoaError):
    """The load test could not be run: too few descriptors or ports, a relay that does not start, sessions
    refused.
    """
