"""For all tests."""

from __future__ import annotations

import signal

# A run started in the background ignores SIGINT, and so would every process that tests start and
# then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
