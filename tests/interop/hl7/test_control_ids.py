from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from uuid6 import uuid7

from interop.hl7.control_ids import control_id


@given(st.uuids())
def test_a_control_id_fits_the_shortest_msh_10(id: UUID) -> None:
    made = control_id(id)
    assert len(made) == 20
    assert made.isalnum()
    assert made.isascii()


def test_control_ids_of_ids_made_in_one_moment_differ() -> None:
    assert len({control_id(uuid7()) for _ in range(2000)}) == 2000
