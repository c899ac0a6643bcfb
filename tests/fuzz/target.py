"""One target in a process of its own, which ends with it: python -m tests.fuzz.target NAME INPUTS SEED."""

import sys

import atheris

with atheris.instrument_imports(include=["nightlatch", "python_multipart"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

name, inputs, seed = sys.argv[1:]
atheris.Setup(
    [sys.argv[0], f"-runs={inputs}", f"-seed={seed}", "-max_len=4096", "-verbosity=0", "-close_fd_mask=0"],
    TARGETS[name][0],
)
atheris.Fuzz()
