import hashlib
import threading

from hypothesis import given
from hypothesis import strategies as st

from audit.columns import Compressed
from audit.packed import compressed, decompressed, pack, pack_and_hash
from tests.audit.test_columns import DIALECT


@given(st.binary())
def test_what_is_packed_comes_back_with_its_digest(content: bytes) -> None:
    packed = pack_and_hash(content)
    assert decompressed(packed.frame) == content
    assert packed.sha256 == hashlib.sha256(content).hexdigest()


def test_a_column_stores_what_was_packed_before_as_it_is() -> None:
    packed = pack(b"MSH|" * 100)
    assert Compressed().process_bind_param(packed, DIALECT) is packed.frame


def test_threads_pack_at_the_same_time() -> None:
    contents = [bytes([number]) * 300_000 + b"end" for number in range(8)]
    found: dict[int, bytes] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = decompressed(compressed(contents[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(8)] == contents
