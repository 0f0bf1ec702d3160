"""A PostgreSQL of a bench: in a directory of its own, on a free port of loopback, without durability."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from stand import ports

# Who starts a session from loopback is believed: it ends with the bench.
INITDB = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions", "--wal-segsize=1"]
SETTINGS = ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=32MB", "autovacuum=off"]


def programs():
    """Where Debian keeps the programs of the newest PostgreSQL, which are not in the PATH."""
    folders = [at.parent for at in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres") if (at.parent / "initdb").exists()]
    if not folders:
        raise SystemExit("there is no PostgreSQL server: install it with `deploy/tools bench`, or Debian's package postgresql")
    return max(folders, key=lambda folder: float(folder.parent.name))


def as_its_user():
    """In front of a program of PostgreSQL: it refuses to run as root, and ends when this ends."""
    user = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "QUIT", *user]


class Postgres:
    """A context manager; `url` is for those who connect."""

    def __enter__(self):
        self.bin = programs()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        (self.port,) = ports(1)
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.server = None
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        made = subprocess.run(
            [*as_its_user(), self.bin / "initdb", "-D", self.dir / "data", *INITDB], cwd=self.dir, capture_output=True, text=True
        )
        if made.returncode:
            raise SystemExit(f"initdb failed: {made.stderr}")
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        command = [*as_its_user(), self.bin / "postgres", "-D", self.dir / "data", "-k", self.dir, "-p", str(self.port), *settings]
        with (self.dir / "log").open("w") as log:
            self.server = subprocess.Popen(command, cwd=self.dir, stdout=log, stderr=log)
        for _ in range(150):
            if self.server.poll() is None and self.psql("SELECT 1").wait() == 0:
                return
            time.sleep(0.1)
        raise SystemExit(f"PostgreSQL does not answer: {(self.dir / 'log').read_text()[-500:]}")

    def __exit__(self, *_):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(10)
            if self.server.poll() is None:
                self.server.kill()
                self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def psql(self, sql):
        """A session that does this, as a process."""
        command = [self.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", sql]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, sql):
        if self.psql(sql).wait(30):
            raise SystemExit(f"PostgreSQL did not do: {sql}")
