import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.training.datasets.file_server import Behaviour, serve
from training.datasets.download import ATTEMPTS, Downloaded, DownloadFailed, download

BIG = "records100/00000/00001_lr.dat"
SIZE = 3_000_000


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """What PhysioNet gives out: two files and their checksums."""
    folder = tmp_path / "remote"
    (folder / BIG).parent.mkdir(parents=True)
    (folder / BIG).write_bytes(np.random.default_rng(0).bytes(SIZE))
    (folder / "RECORDS").write_text("records100/00000/00001_lr\n")
    names = (BIG, "RECORDS")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()} {name}\n" for name in names]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))
    return folder


@pytest.fixture
def server(remote: Path) -> Iterator[Behaviour]:
    with serve(remote, Behaviour()) as behaviour:
        yield behaviour


def bring(server: Behaviour, folder: Path, name: str = "ptbxl", *, index: str = "") -> tuple[Downloaded, list[float]]:
    """Download without waiting; gives the pauses that there would have been."""
    pauses: list[float] = []
    done = download(name, folder, address=server.address + index, connections=1, pause=pauses.append)
    return done, pauses


def ranges(server: Behaviour, path: str) -> list[str | None]:
    return [wanted for asked, wanted in server.asked if asked == path]


def test_every_file_arrives_as_it_is(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    done = download("ptbxl", tmp_path / "here", address=server.address, progress=lambda *count: counts.append(count))
    assert done == Downloaded(fetched=2, present=0)
    assert (tmp_path / "here" / BIG).read_bytes() == (remote / BIG).read_bytes()
    assert (tmp_path / "here" / "RECORDS").read_text() == (remote / "RECORDS").read_text()
    assert counts == [(1, 2), (2, 2)]


def test_after_a_dropped_connection_only_the_rest_is_asked_for(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    server.drops[BIG] = [SIZE // 2]
    done, pauses = bring(server, tmp_path)
    assert done.fetched == 2
    assert pauses == [1.0]
    first, second = ranges(server, BIG)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= SIZE // 2
    assert (tmp_path / BIG).read_bytes() == (remote / BIG).read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_the_next_run_goes_on_with_the_part_that_is_there(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    part = tmp_path / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((remote / BIG).read_bytes()[:1_000_000])
    bring(server, tmp_path)
    assert ranges(server, BIG) == ["bytes=1000000-"]
    assert (tmp_path / BIG).read_bytes() == (remote / BIG).read_bytes()


def test_a_server_without_ranges_sends_the_whole_again(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    server.ranges = False
    server.drops[BIG] = [SIZE // 2]
    bring(server, tmp_path)
    assert (tmp_path / BIG).read_bytes() == (remote / BIG).read_bytes()


def test_files_that_are_there_and_right_are_not_asked_for(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "RECORDS").write_bytes((remote / "RECORDS").read_bytes())
    done, _ = bring(server, tmp_path)
    assert done == Downloaded(fetched=1, present=1)
    assert not ranges(server, "RECORDS")
    assert bring(server, tmp_path)[0] == Downloaded(fetched=0, present=2)


def test_a_file_that_was_damaged_here_is_fetched_again(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    bring(server, tmp_path)
    (tmp_path / BIG).write_bytes(b"damaged")
    assert bring(server, tmp_path)[0] == Downloaded(fetched=1, present=1)
    assert (tmp_path / BIG).read_bytes() == (remote / BIG).read_bytes()


def test_a_part_of_another_file_is_thrown_away(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    part = tmp_path / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (SIZE + 5))
    bring(server, tmp_path)
    assert ranges(server, BIG) == [f"bytes={SIZE + 5}-", None]
    assert (tmp_path / BIG).read_bytes() == (remote / BIG).read_bytes()


def test_a_file_whose_checksum_stays_wrong_is_refused(server: Behaviour, remote: Path, tmp_path: Path) -> None:
    (remote / BIG).write_bytes(b"something else")
    with pytest.raises(DownloadFailed, match="sha256"):
        bring(server, tmp_path)
    assert not (tmp_path / BIG).exists()
    assert len(ranges(server, BIG)) == 2


def test_a_busy_server_is_asked_again_after_a_pause(server: Behaviour, tmp_path: Path) -> None:
    server.answers[BIG] = [503, 429, 500]
    done, pauses = bring(server, tmp_path)
    assert done.fetched == 2
    assert pauses == [1.0, 2.0, 4.0]


def test_a_server_that_never_answers_is_given_up_with_the_address(server: Behaviour, tmp_path: Path) -> None:
    server.answers[BIG] = [503] * 20
    with pytest.raises(DownloadFailed, match=r"00001_lr\.dat: the server answered 503"):
        bring(server, tmp_path)
    assert len(ranges(server, BIG)) == ATTEMPTS


def test_what_will_not_get_better_is_not_tried_again(server: Behaviour, tmp_path: Path) -> None:
    server.answers[BIG] = [403]
    with pytest.raises(DownloadFailed, match="403"):
        bring(server, tmp_path)
    assert len(ranges(server, BIG)) == 1


def test_a_server_without_a_listing_is_named(tmp_path: Path, server: Behaviour, remote: Path) -> None:
    (remote / "SHA256SUMS.txt").unlink()
    with pytest.raises(DownloadFailed, match="no listing"):
        bring(server, tmp_path)


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ptbxl, chapman, code15"):
        download("mimic", tmp_path)


@pytest.fixture
def zenodo(remote: Path, server: Behaviour) -> Behaviour:
    """What Zenodo gives out: a table, and a part in a ZIP archive."""
    (remote / "exams.csv").write_text("exam_id\n")
    with zipfile.ZipFile(remote / "exams_part0.zip", "w") as archive:
        archive.writestr("folder/exams_part0.hdf5", b"HDF5" * 1000)
        archive.writestr("readme.txt", b"unwanted")
    files = [
        {
            "key": name,
            "links": {"self": f"{server.address}{name}"},
            "checksum": f"md5:{hashlib.md5((remote / name).read_bytes()).hexdigest()}",
        }
        for name in ("exams.csv", "exams_part0.zip")
    ]
    (remote / "record").write_text(json.dumps({"files": files}))
    return server


def test_archives_are_unpacked_once_and_removed(zenodo: Behaviour, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    assert bring(zenodo, folder, "code15", index="record")[0] == Downloaded(fetched=2, present=0)
    assert (folder / "exams_part0.hdf5").read_bytes() == b"HDF5" * 1000
    assert {path.name for path in folder.iterdir()} == {"exams.csv", "exams_part0.hdf5", "exams_part0.zip.unpacked"}
    assert bring(zenodo, folder, "code15", index="record")[0] == Downloaded(fetched=0, present=2)
    assert len(ranges(zenodo, "exams_part0.zip")) == 1


def test_a_part_that_was_removed_is_fetched_again(zenodo: Behaviour, tmp_path: Path) -> None:
    bring(zenodo, tmp_path, "code15", index="record")
    (tmp_path / "exams_part0.hdf5").unlink()
    assert bring(zenodo, tmp_path, "code15", index="record")[0] == Downloaded(fetched=1, present=1)
    assert (tmp_path / "exams_part0.hdf5").is_file()


def test_nothing_is_asked_for_in_a_compressed_form(server: Behaviour, tmp_path: Path) -> None:
    """The published checksums are those of the files themselves."""
    bring(server, tmp_path)
    assert server.encodings == {"identity"}
