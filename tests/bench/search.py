"""Searches in a small and in a large store of the same hospital: what is indexed takes as long in either.

The small one is the large one after its first days, so that a day or a patient has as many Observations in both, and
what differs is only how much lies beside what is looked for. Every run asks for another patient, ECG or day; the runs
of all searches in both stores take turns, so that a slow minute of the machine slows them all.
"""

import http.client
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from sqlalchemy import create_engine

from audit.criteria import Search
from audit.cursor import Cursor
from audit.engine import database_url
from audit.packed import Packed, pack
from audit.store import Store, open_store
from audit.upgrade import upgrade
from interop.fhir.search import parse
from interop.resources.codes import EKG_STUDY, ELECTROCARDIAC, LOINC, PROCEDURE, Json, concept, quantity
from interop.resources.documents import Indexed, indexed
from interop.resources.ecg_document import render_ecg
from interop.resources.findings import MEASUREMENTS
from interop.resources.identifiers import Identifier
from interop.resources.times import instant
from tests.bench import messages
from tests.bench.figures import Budget, Row, Table, quantile, times
from tests.bench.load import Clients
from tests.bench.service import Service, running
from tests.bench.sizes import Sizes
