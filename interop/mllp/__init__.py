"""MLLP: a framing core without I/O, and the asyncio shells around it."""
