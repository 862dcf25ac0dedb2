"""What holds for all tests."""

from __future__ import annotations

import signal
import threading

# A shell starts what it puts into the background with Ctrl-C ignored, and all programs of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
