"""Policy's database is locked, not to be opened, full, removed under it, or broken.

Nobody new comes in, and reads why; who is in goes on; the operator reads once what it is and what to do; and all is well
again when that is done.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest
from site_of_lodge import Site, wait_for

BACKUP = """
import sqlite3, sys
of, to = (sqlite3.connect(path) for path in sys.argv[1:])
of.backup(to)
of.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"""
AWAY = "lodge: denied [policy-away] nobody is there to decide; try again in a minute"


def own_disk(site):
    """A small disk for the database alone."""
    where = site.dir / "state/policy"
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", where], check=True)
    shutil.chown(where, "lodge-policy", "lodge-policy")


@pytest.fixture(scope="module")
def s():
    one = Site("--no-code", before=own_disk)
    try:
        one.granted("8h")
        yield one
        one.end()
    finally:
        one.end(check=False)
        subprocess.run(["umount", "-l", one.dir / "state/policy"], check=True)
        shutil.rmtree(one.dir)


@pytest.fixture(scope="module")
def shell(s):
    """Somebody who is in, all the time."""
    return s.shell()


@pytest.fixture
def db(s):
    return s.dir / "state/policy/policy.db"


def goes_on(shell, number):
    shell.sendline(f"echo $(({number} + 4200))")
    shell.expect(rf"\r{number + 4200}\r\n")


def nobody_comes(s):
    done = s.ssh("alice+osv1", "echo hi")
    assert (done.returncode, done.stdout) == (255, b""), done.stderr
    assert AWAY in done.stderr.decode(), done.stderr


def all_is_well(s):
    wait_for(lambda: s.ssh("alice+osv1", "echo hi").stdout == b"hi\n", "an engineer who comes in again", 40, 0.2)


@contextlib.contextmanager
def fault(s, *says):
    """What the operator reads of it: each of these, once, however often policy is started again meanwhile."""
    at = len(s.log())

    def lines():
        return re.findall("lodge-policy cannot work: (.*)", s.log()[at:])

    yield lambda: wait_for(lambda: len(lines()) >= len(says), "the log's word about it", 30)
    read = lines()
    assert len(read) == len(says), read
    for line, part in zip(read, says):
        assert re.search(part, line), (line, part)
    assert "it is started again" not in s.log()[at:].replace("lodge-policy died (signal 9); it is started again", "")


def test_locked_by_somebody_else(s, shell, db):
    with fault(s, "database is locked; another process keeps it locked: fuser on the file says which"):
        other = sqlite3.connect(db, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        nobody_comes(s)
        goes_on(shell, 1)
        other.execute("ROLLBACK")
        other.close()
        all_is_well(s)


def test_not_to_be_opened(s, shell, db):
    with fault(s, "policy.db: Permission denied; it and its directory must be lodge-policy's to write") as said:
        db.chmod(0o400)
        os.kill(s.pid("policy"), 9)
        said()
        goes_on(shell, 2)
        time.sleep(2)  # it is started a few times
        db.chmod(0o600)
        all_is_well(s)


def test_full(s, shell, db):
    with fault(s, "database or disk is full; make room on its disk") as said:
        with contextlib.suppress(OSError), open(db.parent / "ballast", "wb", buffering=0) as f:
            while f.write(bytes(4096)):
                pass
        wait_for(lambda: s.ssh("alice+osv1", "echo hi", timeout=40).returncode != 0, "a full disk", 60, 0)
        said()
        goes_on(shell, 3)
        (db.parent / "ballast").unlink()
        all_is_well(s)


def test_removed_under_it(s, shell, db):
    saved = db.with_suffix(".db.saved")
    removed = "it was removed; what it held is in .*saved: mv it into its place"
    with fault(s, removed, "is gone; what it held is in") as said:
        db.unlink()
        said()
        goes_on(shell, 4)
        assert not db.exists(), "an empty one was made in its place"
        saved.rename(db)
        all_is_well(s)
    said = s.verb("maria", "requests", "--all")
    assert "alice" in said and "open" in said, said


def test_broken(s, shell, db):
    """All but the first page is noise; the newest backup is put back."""
    backup = db.parent / "backup.db"
    with fault(s, "malformed|not a database", "malformed|not a database") as said:
        as_policy = ["setpriv", "--reuid=lodge-policy", "--regid=lodge-policy", "--clear-groups"]
        subprocess.run([*as_policy, "/usr/bin/python3", "-c", BACKUP, db, backup], check=True)
        with open(db, "r+b") as f:
            f.seek(4096)
            f.write(os.urandom(db.stat().st_size - 4096))
        nobody_comes(s)
        said()
        goes_on(shell, 5)
        for end in ("-wal", "-shm"):
            (db.parent / f"policy.db{end}").unlink(missing_ok=True)
        backup.rename(db)
        all_is_well(s)


def test_nothing_was_lost(s, shell):
    goes_on(shell, 6)
    shell.sendline("exit 9")
    shell.wait()
    assert shell.exitstatus == 9
    rows = s.sealed(1)
    assert {r["state"] for r in rows} == {"whole"}, rows
    actions = [e["event"]["action"] for e in s.events()]
    recordings = len(s.json("otto", "recordings"))
    assert actions.count("visit.begun") == actions.count("visit.ended") == recordings > 4
    s.verb("otto", "verify", "--all")
