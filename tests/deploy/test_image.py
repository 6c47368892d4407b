"""The serving image: built from deploy/Dockerfile, looked into, and run read-only as its own user, with ECGs through
all doors."""

import json
import re
import resource
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from sqlalchemy import make_url

from interop.client import hook_call
from tests.audit.conftest import create_database, postgresql
from tests.deploy.containers import Container, Image, forwarded, mounted, ran, running
from tests.deploy.deployed import HTTP_PORT, MLLP_PORT
from tests.deploy.images import base, build, call, compressed_sizes, needed
from tests.e2e.doors import FHIR_JSON, ecg, eventually, matrix, message, observation, send
from tests.inference.formats.exchange_files import WRITERS
from tests.interop.fhir.documents import COUNTS, KINDS, document

__all__ = ["postgresql"]  # the fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "localhost/ecg-interop:test"
MEGABYTE = 1_000_000
MAX_COMPRESSED = 300 * MEGABYTE
MAX_BUILD_SECONDS = 300  # of processor time: the same on a busy machine
FORBIDDEN = (
    "torch", "mlflow", "dagster", "evidently", "great_expectations", "sklearn", "lightgbm", "h5py", "pyarrow",
    "matplotlib", "pip", "setuptools", "pytest", "hl7apy",
)  # fmt: skip
COMPILERS = ("gcc", "cc", "c++", "g++", "ld", "as", "make", "rustc", "pip", "pip3", "curl", "wget", "git", "gpg-agent")
HEALTH_CHECK = ("/usr/bin/python3", "-I", "-S", "/opt/ecg/healthcheck.py")
SECONDS = 60.0


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once; buildah keeps the layers, so that another run builds what has changed."""
    needed()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    build(NAME, "interop", base())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MAX_BUILD_SECONDS
    with mounted(NAME) as found:
        yield found


@pytest.fixture(scope="module")
def site_packages(image: Image) -> Path:
    return image.root / "opt/ecg/lib/python3.11/site-packages"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def serving(image: Image, folder: Path, **environment: str) -> Iterator[tuple[Container, str, tuple[str, int]]]:
    """The image as it is, on free ports. Gives the container, the URL of HTTP and the address of MLLP."""
    ports = {"ECG_HTTP_PORT": str(_free_port()), "ECG_MLLP_PORT": "0", "ECG_ALLOW_CANDIDATE": "true"}
    with running(image, folder, **{**ports, **environment}) as container:
        ready = json.loads(container.line())
        host, _, port = ready["mllp"].rpartition(":")
        yield container, ready["http"], (host, int(port))


@pytest.fixture(scope="module")
def served(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str, tuple[str, int]]]:
    with serving(image, tmp_path_factory.mktemp("served")) as found:
        yield found


def test_the_image_says_how_it_is_run(image: Image) -> None:
    assert image.command == ["ecg-interop", "serve"]
    assert image.user == (10001, 10001)
    assert set(image.config["ExposedPorts"]) == {f"{HTTP_PORT}/tcp", f"{MLLP_PORT}/tcp"}
    assert set(image.config["Volumes"]) == {image.config["WorkingDir"]} == {"/var/lib/ecg"}
    assert image.config["Healthcheck"]["Test"] == ["CMD", *HEALTH_CHECK]
    assert image.config["StopSignal"] == "SIGTERM"
    assert not [entry for entry in image.config["Env"] if entry.startswith("ECG_")]  # nothing is opened silently
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.revision"] == "test"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_version_label_is_that_of_the_project(image: Image, site_packages: Path) -> None:
    version = image.config["Labels"]["org.opencontainers.image.version"]
    assert (site_packages / f"ecg_clinical_action_recommender-{version}.dist-info").is_dir()


def test_it_is_small(image: Image, tmp_path: Path) -> None:
    assert sum(compressed_sizes(image.name, tmp_path)) < MAX_COMPRESSED


def test_it_holds_no_training_library_no_installer_and_no_compiler(image: Image, site_packages: Path) -> None:
    assert [name for name in FORBIDDEN if (site_packages / name).exists()] == []
    folders = [image.root / folder for folder in ("usr/bin", "usr/sbin", "usr/local/bin", "opt/ecg/bin")]
    assert [
        str(f / name) for f in folders for name in COMPILERS if (f / name).is_symlink() or (f / name).exists()
    ] == []
    assert list((image.root / "var/lib/apt/lists").glob("*_Packages*")) == []


def test_nothing_of_the_build_is_left(image: Image) -> None:
    for path in ("etc/pip.conf", "run/secrets", "root/.cache", "src", "wheel", "opt/build", "opt/wheels"):
        assert not (image.root / path).exists(), path


def test_no_file_gives_privileges_and_the_user_owns_its_volume_alone(image: Image) -> None:
    owned, privileged, writable = [], [], []
    for path in image.root.rglob("*"):
        status = path.lstat()
        if status.st_uid == image.user[0]:
            owned.append(path.relative_to(image.root).as_posix())
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            privileged.append(path)
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            writable.append(path)
    assert (owned, privileged) == (["var/lib/ecg"], [])
    assert [path for path in writable if not stat.S_ISCHR(path.lstat().st_mode)] == []


def test_its_user_has_no_shell(image: Image) -> None:
    (line,) = [one for one in (image.root / "etc/passwd").read_text().splitlines() if ":10001:" in one]
    assert line.endswith(":/usr/sbin/nologin")


def test_every_module_is_compiled_and_valid_whatever_the_times_of_the_files(site_packages: Path) -> None:
    """Nobody could write a cache later, and a start without takes seconds more. Flags 1: unchecked hash (PEP 552)."""
    caches = list(site_packages.rglob("*.pyc"))
    assert {cache.read_bytes()[4:8] for cache in caches} == {b"\x01\0\0\0"}
    compiled = {cache.name.split(".")[0] for cache in (site_packages / "interop/__pycache__").glob("*.pyc")}
    assert compiled == {module.stem for module in (site_packages / "interop").glob("*.py")}


def test_every_module_that_serves_can_be_imported(image: Image, tmp_path: Path) -> None:
    program = (
        "import importlib, pkgutil\n"
        "for room in ('inference', 'actions', 'audit', 'interop'):\n"
        "    for found in pkgutil.walk_packages([importlib.import_module(room).__path__[0]], room + '.'):\n"
        "        if not found.name.endswith('.env') and '.versions.' not in found.name:\n"
        "            try:\n"
        "                importlib.import_module(found.name)\n"
        "            except ImportError as error:\n"
        "                print('MISSING', found.name, error.name)\n"
    )
    done = ran(image, tmp_path, "python3", "-c", program)
    assert done.returncode == 0, done.stdout
    missing = [line.split() for line in done.stdout.splitlines() if line.startswith("MISSING")]
    assert {name for _, name, *_ in missing} <= {"inference.network", "inference.boosted_trees"}, missing  # torch


def test_an_ecg_goes_through_every_door(served: tuple[Container, str, tuple[str, int]]) -> None:
    _, url, mllp = served
    created = httpx.post(
        f"{url}/fhir/Observation", content=observation(), headers={"Content-Type": FHIR_JSON}, timeout=SECONDS
    )
    assert created.status_code == 201
    reports = httpx.get(f"{url}/fhir/DiagnosticReport", timeout=SECONDS).json()["entry"]
    assert "infarction" in reports[0]["resource"]["conclusion"]
    pdf = httpx.get(f"{url}/fhir/DiagnosticReport/{reports[0]['resource']['id']}/$pdf", timeout=SECONDS)
    assert pdf.content.startswith(b"%PDF")
    assert httpx.get(f"{url}/ecg/{reports[0]['resource']['id']}", timeout=SECONDS).status_code == 200
    (answer,) = send(mllp, message())
    assert b"MSA|AA|" in answer
    predicted = httpx.post(
        f"{url}/predict", content=matrix(), headers={"Content-Type": "application/json"}, timeout=SECONDS
    )
    assert predicted.status_code == 200
    called = httpx.post(
        f"{url}/cds-services/ecg-patient-view", content=hook_call(ecg(), "4711"),
        headers={"Content-Type": "application/json"}, timeout=SECONDS,
    )  # fmt: skip
    assert called.json()["cards"]
    for page in ("/monitoring", "/model", "/docs", "/metrics", "/fhir/metadata"):
        assert httpx.get(f"{url}{page}", timeout=SECONDS).status_code == 200, page


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_each_format_is_read(served: tuple[Container, str, tuple[str, int]], name: str) -> None:
    """By the library that the network was cut from."""
    _, url, _ = served
    sent = httpx.post(
        f"{url}/fhir/DocumentReference",
        json=document(WRITERS[name][1](COUNTS), KINDS.get(name, "application/octet-stream")),
        headers={"Content-Type": FHIR_JSON},
        timeout=SECONDS,
    )
    assert sent.status_code == 201, sent.text
    reports = httpx.get(f"{url}/fhir/DiagnosticReport?_sort=-_lastUpdated&_count=1", timeout=SECONDS).json()["entry"]
    assert "The file says that its patient is 4711" in reports[0]["resource"]["conclusion"]


def test_a_wfdb_record_is_read_where_nothing_but_the_volume_can_be_written(image: Image, tmp_path: Path) -> None:
    done = ran(
        image, tmp_path, "ecg-interop", "predict", "/opt/ecg/examples/00184_hr.hea", "--sex", "male", "--age", "74"
    )
    assert done.returncode == 0, done.stdout
    assert "infarction" in done.stdout


def test_the_root_file_system_is_read_only_and_the_process_has_no_privilege(
    served: tuple[Container, str, tuple[str, int]],
) -> None:
    container, _, _ = served
    for path in ("/written", "/tmp/written", "/opt/ecg/written", "/etc/written"):
        assert "Read-only file system" in container.execute("/usr/bin/touch", path).stderr
    status = container.execute("/bin/cat", "/proc/1/status").stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Name"] == "ecg-interop"
    assert facts["Uid"].split() == ["10001"] * 4
    assert (facts["CapEff"], facts["CapBnd"], facts["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    assert set(container.execute("/bin/ls", "/var/lib/ecg").stdout.split()) == {"var"}


def test_the_health_check_is_cheap_and_says_what_fails(image: Image, tmp_path: Path) -> None:
    with serving(image, tmp_path) as (container, url, _):
        begun = time.perf_counter()
        done = container.execute(*HEALTH_CHECK)
        took = time.perf_counter() - begun
        assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "ready"), done
        assert took < 3
        port = urlsplit(url).port
        assert (
            container.execute("/usr/bin/env", f"ECG_HTTP_PORT={port}", "ECG_HOST=0.0.0.0", *HEALTH_CHECK).returncode
            == 0
        )
        done = container.execute("/usr/bin/env", "ECG_HTTP_PORT=1", *HEALTH_CHECK)
        assert (done.returncode, done.stderr.strip()) == (1, "127.0.0.1:1: [Errno 111] Connection refused")


def test_the_first_process_drains_on_sigterm_and_what_it_has_taken_is_there_again(image: Image, tmp_path: Path) -> None:
    with serving(image, tmp_path) as (container, _, mllp):
        (answer,) = send(mllp, message())
        assert b"MSA|AA|" in answer
        assert container.stop() == 0
    with serving(image, tmp_path) as (container, url, _):
        assert httpx.get(f"{url}/fhir/DiagnosticReport?_summary=count", timeout=SECONDS).json()["total"] == 1
        assert container.stop() == 0


def test_beyond_loopback_it_starts_only_when_told_that_it_may(image: Image, tmp_path: Path) -> None:
    done = ran(image, tmp_path, *image.command, ECG_HOST="0.0.0.0", ECG_HTTP_PORT="0", ECG_MLLP_PORT="0")
    assert done.returncode == 2
    assert "ECG_ALLOW_ANONYMOUS" in done.stdout
    knowingly = {"ECG_ALLOW_ANONYMOUS": "true", "ECG_MLLP_ALLOW": "127.0.0.0/8"}
    with serving(image, tmp_path, ECG_HOST="0.0.0.0", **knowingly) as (container, url, _):
        local = f"http://127.0.0.1:{urlsplit(url).port}"
        assert eventually(lambda: httpx.get(f"{local}/ready", timeout=SECONDS).status_code == 200)
        assert container.execute(*HEALTH_CHECK).returncode == 0


def test_the_same_image_migrates_and_serves_a_postgresql(image: Image, tmp_path: Path, postgresql: str) -> None:
    """As compose does it: one container for `db upgrade`, one that serves."""
    url = make_url(create_database(postgresql)).set(drivername="postgresql+psycopg2")
    with ExitStack() as stack:
        if isinstance(folder := url.query.get("host"), str):  # the server of the tests has no port
            port = stack.enter_context(forwarded(next(Path(folder).glob(".s.PGSQL.*[0-9]"))))
            url = url.set(host="127.0.0.1", port=port, query={})
        database = url.render_as_string(hide_password=False)
        _migrate_and_serve(image, tmp_path, database)


def _migrate_and_serve(image: Image, tmp_path: Path, database: str) -> None:
    done = ran(image, tmp_path, "ecg-interop", "db", "upgrade", ECG_DATABASE_URL=database)
    assert done.returncode == 0, done.stdout
    with serving(image, tmp_path, ECG_DATABASE_URL=database) as (container, base_url, mllp):
        (answer,) = send(mllp, message())
        assert b"MSA|AA|" in answer
        assert httpx.get(f"{base_url}/ready", timeout=SECONDS).json()["status"] == "ready"
        assert container.stop() == 0


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_its_bill_of_materials_is_valid_and_whole(image: Image, site_packages: Path, tmp_path: Path) -> None:
    """By the schema of CycloneDX; each installed package once, Debian's and Python's."""
    call(sys.executable, "scripts/sbom.py", str(image.root), str(tmp_path / "sbom.json"))
    content = (tmp_path / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content) is None
    purls = [one["purl"] for one in json.loads(content)["components"] if "purl" in one]
    python = {_normalized(purl.partition("@")[0]) for purl in purls if purl.startswith("pkg:pypi/")}
    of_python = {
        f"pkg:pypi/{_normalized(found.metadata['Name'])}" for found in distributions(path=[str(site_packages)])
    }
    # The project is what the list is of, and is on no index.
    assert python == of_python - {"pkg:pypi/ecg-clinical-action-recommender"}
    status = (image.root / "var/lib/dpkg/status").read_text()
    installed = set(re.findall(r"^Package: (\S+)$", status, re.MULTILINE))
    binary = [unquote(purl) for purl in purls if purl.startswith("pkg:deb/") and not purl.endswith("arch=source")]
    assert {purl.partition("@")[0].removeprefix("pkg:deb/debian/") for purl in binary} == installed
    assert len(binary) == len(set(binary))


def test_a_failing_build_step_is_not_overlooked() -> None:
    """slim.py ends the build when a cut finds nothing."""
    needed()
    with pytest.raises(AssertionError, match="not installed"):
        call("python3", "deploy/image/slim.py", "tests")
