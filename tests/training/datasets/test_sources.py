import httpx
import pytest

from training.datasets.catalog import KINDS
from training.datasets.sources import SOURCES, RemoteFile, Source, listing, physionet_files, zenodo_files

SHA256 = "a" * 64
MD5 = "b" * 32
ZENODO = "https://zenodo.org/api/records/4916206"


def zenodo_record(url: str = f"{ZENODO}/files/exams.csv/content") -> str:
    return f'{{"files": [{{"key": "exams.csv", "links": {{"self": "{url}"}}, "checksum": "md5:{MD5}"}}]}}'


@pytest.mark.parametrize("name", SOURCES)
def test_data_come_from_the_official_servers_only(name: str) -> None:
    host = httpx.URL(SOURCES[name].address).host
    assert (host, httpx.URL(SOURCES[name].address).scheme) in (("physionet.org", "https"), ("zenodo.org", "https"))
    assert name in KINDS


def test_physionet_lists_its_files_with_their_sha256() -> None:
    sums = f"{SHA256} RECORDS\n{SHA256}  records100/00000/00001_lr.dat\n{SHA256} *example file.csv\n"
    files = list(physionet_files("https://physionet.org/files/ptb-xl/1.0.3/", sums))
    assert [f.name for f in files] == ["RECORDS", "records100/00000/00001_lr.dat", "example file.csv"]
    assert files[2].url == "https://physionet.org/files/ptb-xl/1.0.3/example%20file.csv"
    assert {(f.algorithm, f.digest) for f in files} == {("sha256", SHA256)}


def test_zenodo_lists_its_files_with_their_md5() -> None:
    (file,) = zenodo_files(ZENODO, zenodo_record())
    assert file == RemoteFile("exams.csv", f"{ZENODO}/files/exams.csv/content", "md5", MD5)


@pytest.mark.parametrize("answer", ["<html>", "{}", '{"files": [{}]}', '{"files": [{"key": 1}]}'])
def test_an_answer_that_is_no_record_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="no Zenodo record"):
        list(zenodo_files(ZENODO, answer))


def test_an_answer_that_is_no_list_of_checksums_is_refused() -> None:
    with pytest.raises(ValueError, match="no checksum and name"):
        list(physionet_files("https://physionet.org/", "<html>\n"))


def test_a_file_at_another_host_is_refused() -> None:
    with pytest.raises(ValueError, match="another host"):
        list(zenodo_files(ZENODO, zenodo_record("https://elsewhere.example/exams.csv")))


@pytest.mark.parametrize("name", ["../exams.csv", "/etc/passwd", "a/../../b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no path below"):
        RemoteFile(name, "https://zenodo.org/x", "md5", MD5)


def test_a_mirror_takes_the_place_of_the_official_address() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, text=f"{SHA256} RECORDS\n")

    source: Source = SOURCES["ptbxl"]
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        (file,) = listing(client, source, "http://mirror.example/ptb-xl/")
    assert asked == ["http://mirror.example/ptb-xl/SHA256SUMS.txt"]
    assert file.url == "http://mirror.example/ptb-xl/RECORDS"
