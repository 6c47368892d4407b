import ctypes
import subprocess
import sys

import pytest

# 50 MB of small blocks; the last one keeps the end of the heap in use, so that only trimming can free the rest.
SCRIPT = """
from pathlib import Path
from inference.memory import give_back_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

import ctypes
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
blocks = [c.malloc(1000) for _ in range(50_000)]
for block in blocks: ctypes.memset(block, 1, 1000)
for block in blocks[:-1]: c.free(block)
before = resident()
give_back_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
def test_what_was_freed_inside_the_heap_goes_back_to_the_system() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(result.stdout) > 30e6
