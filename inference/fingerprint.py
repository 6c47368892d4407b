"""When a calculation would give the same again."""

import hashlib
import json
from functools import cache

from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.prepare import preprocessing_hash
from inference.recording import Sex


@cache
def shape_hash() -> str:
    """SHA-256 (hex) of all that shapes features and model input: names and version of the features, preprocessing."""
    shape = [FEATURES_VERSION, list(FEATURE_NAMES), preprocessing_hash()]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()


def computation_key(digest: str, age: float | None, sex: Sex, *, model: str, software: str) -> bytes:
    """SHA-256 of everything that features, measurements and probabilities of a recording depend on.

    digest: `inference.digest.signal_digest`. model: checksum of the weights that run. software: version of this
    program; what it measures has no version of its own.
    """
    years = "unknown" if age is None else float(age).hex()
    parts = (digest, years, sex, shape_hash(), model, software)
    return hashlib.sha256("\n".join(parts).encode()).digest()
