"""How long a thread runs in one go, on Linux 6.12 and later.

There a thread may ask for its time slice (sched_setattr(2): `sched_runtime`; 0.1 to 100 ms, 3 as a rule). It
takes no more of the processor for that, and nobody needs a right to ask. One with a shorter slice that wakes
up takes the processor from one with a longer slice at once.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Final

_SYSTEM_CALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_ATTRIBUTES: Final = struct.Struct("<IIQiIQQQ")
"""struct sched_attr, first version: size, policy, flags, nice, priority, runtime, deadline, period."""
_SCHED_OTHER: Final = 0


def ask_for_slice(seconds: float, niceness: int) -> None:
    """For the calling thread, which keeps that niceness. Raises OSError where there is no such thing."""
    number = _SYSTEM_CALLS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, _SCHED_OTHER, 0, niceness, 0, int(seconds * 1e9), 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(number, 0, ctypes.c_char_p(attributes), 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
