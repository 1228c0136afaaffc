"""A full disk: before a visit it is refused, during one it is ended; no byte passes unrecorded, and what was recorded
is sealed in the room that was kept for it."""

import os
import pathlib
import re
import subprocess
import tempfile

import pytest
from site_of_lodge import wait_for


@pytest.fixture
def small_disk():
    where = pathlib.Path(tempfile.mkdtemp(prefix="lodge-disk.", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72m,mode=755", "tmpfs", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)
    where.rmdir()


@pytest.fixture
def s(small_disk, make_site):
    sizes = ("DiskLow=12M", "DiskCritical=8M", "DiskReserve=16M")
    words = [w for size in sizes for w in ("--set", size)]
    one = make_site("--no-code", "--set", f"RecordingDirectory={small_disk}/shelf", *words)
    one.granted("2h")
    return one


def recorded_output(s, number, tmp_path):
    """What stock tools find in the exported recording: the bytes of its output events, and comments that carry bytes."""
    bundle = s.ssh("otto", "export", str(number))
    assert bundle.returncode == 0, bundle.stderr
    subprocess.run(["tar", "-xmf", "-"], input=bundle.stdout, cwd=tmp_path, check=True)
    (sums,) = tmp_path.rglob("SHA256SUMS")
    done = subprocess.run(
        [s.dir / "lib/lodge-replay", "verify", "--identity", s.dir / "etc/reading.age", sums.parent],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sums.parent


def test_full_before_a_visit(s, small_disk):
    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - 6 * 1024 * 1024))
    wait_for(lambda: "critical" in s.log(), "the recorder's look at the shelf", 10)
    done = s.ssh("alice+osv1", "echo hi")
    assert (done.returncode, done.stdout) == (69, b""), done.stderr
    assert b"[disk-full]" in done.stderr
    assert [e for e in s.events(action="shelf.state")]
    (small_disk / "ballast").unlink()
    wait_for(lambda: s.ssh("alice+osv1", "echo hi").stdout == b"hi\n", "room again", 15)


def test_full_during_a_visit(s, small_disk, tmp_path):
    (s.dir / "osv1/home/noise").write_bytes(os.urandom(60_000_000))  # more than there is room for, and no zstd helps
    done = s.ssh("alice+osv1", "cat noise", timeout=120)
    assert done.returncode == 69, done.stderr
    assert b"[disk-full]" in done.stderr
    received = done.stdout
    assert 0 < len(received) < 60_000_000
    assert (s.dir / "osv1/home/noise").read_bytes()[: len(received)] == received
    (row,) = s.sealed(1)
    assert row["bytes_out"] >= len(received), "more was delivered than was recorded"
    assert s.ssh("otto", "verify", str(row["number"])).returncode == 0
    recorded_output(s, row["number"], tmp_path)
