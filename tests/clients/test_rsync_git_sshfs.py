"""What rides on stock ssh: rsync, git, sshfs."""

import os
import pathlib
import subprocess

import pytest
from site_of_lodge import wait_for

feature = pytest.mark.feature
rsync_row = pytest.mark.client("rsync")
git_row = pytest.mark.client("git")
sshfs_row = pytest.mark.client("sshfs")


# ---- rsync ----


def rsync(case, *words):
    return case.run(["rsync", "-a", "-e", f"ssh -F {case.ground.config}", *words])


@rsync_row
@feature("put")
def test_rsync_put_and_again(case):
    where = f"{case.way.host}:{case.name}/up.bin"
    rsync(case, case.ground.up, where)
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    with open(case.remote / "up.bin", "r+b") as f:  # a difference, for rsync to find
        f.seek(1_000_000)
        f.write(b"different")
    rsync(case, "--checksum", case.ground.up, where)
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@rsync_row
@feature("get")
def test_rsync_get(case):
    rsync(case, f"{case.way.host}:down.bin", case.local / "down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin", ledger=False)
    case.compare()


@rsync_row
@feature("tree")
def test_rsync_trees(case):
    case.tree_here()
    rsync(case, "-z", "--delete", f"{case.local}/tree", f"{case.way.host}:{case.name}/")
    case.tree_uploaded(ledger=False)
    rsync(case, "-s", f"{case.way.host}:{case.name}/tree", case.local / "back")
    case.tree_downloaded(case.local / "back/tree", ledger=False)
    case.compare()


# ---- git ----


@git_row
@feature("put")
def test_git_push_and_clone(case):
    """Over an scp-like address and over ssh://, which has the + in it."""
    env = {
        "GIT_SSH_COMMAND": f"ssh -F {case.ground.config}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_PROTOCOL": "version=2",
    }
    who = ["-c", "user.name=Alice", "-c", "user.email=alice@unify", "-c", "init.defaultBranch=main"]
    git = lambda *words, cwd=None: case.run(["git", *who, *words], env=env, cwd=cwd)
    bare = [
        "runuser",
        "-u",
        case.ground.account,
        "--",
        "git",
        "init",
        "-q",
        "--bare",
        "-b",
        "main",
        case.remote / "repo.git",
    ]
    subprocess.run(bare, check=True, cwd="/", stdin=subprocess.DEVNULL)
    git("clone", "-q", f"{case.way.host}:{case.name}/repo.git", "first")
    (case.local / "first/big").write_bytes(os.urandom(8 << 20))
    git("add", "big", cwd=case.local / "first")
    git("commit", "-q", "-m", "big", cwd=case.local / "first")
    git("push", "-q", "origin", "HEAD:main", cwd=case.local / "first")
    way = case.way
    url = f"ssh://{way.user}@{way.address}:{way.port}" if not way.is_jump else f"ssh://{way.user}@osv1"
    git("clone", "-q", f"{url}{case.remote}/repo.git", "second")
    assert (case.local / "second/big").read_bytes() == (case.local / "first/big").read_bytes()
    subprocess.run(
        ["git", "-c", "safe.directory=*", "fsck", "--full"],
        cwd=case.remote / "repo.git",
        check=True,
        capture_output=True,
    )
    case.compare()


# ---- sshfs ----


@pytest.fixture
def mounted(case):
    if not pathlib.Path("/dev/fuse").exists():
        pytest.skip("this machine has no /dev/fuse")
    where = case.local / "mnt"
    where.mkdir()
    done = subprocess.run(
        ["sshfs", "-F", case.ground.config, f"{case.way.host}:", where],
        capture_output=True,
        text=True,
        env=case.ground.env,
    )
    if done.returncode != 0 and "fuse: " in done.stderr and case.way.is_direct:
        pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    yield where
    subprocess.run(["fusermount3", "-u", "-z", where], capture_output=True)


def unmount(where):
    subprocess.run(["fusermount3", "-u", where], check=True)
    pattern = f"sshfs.*{where}"
    wait_for(lambda: subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode != 0, "sshfs's end")


@sshfs_row
@feature("put")
def test_sshfs_write(case, mounted):
    subprocess.run(["cp", case.ground.up, mounted / case.name / "up.bin"], check=True, timeout=300)
    unmount(mounted)
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@sshfs_row
@feature("get")
def test_sshfs_read(case, mounted):
    subprocess.run(["cp", mounted / "down.bin", case.local / "down.bin"], check=True, timeout=300)
    unmount(mounted)
    case.downloaded(case.ground.down, case.local / "down.bin", ledger=False)  # read ahead, in any order
    case.compare()


@sshfs_row
@feature("manage")
def test_sshfs_manage(case, mounted):
    here = mounted / case.name
    (here / "d").mkdir()
    (here / "d/a").write_bytes(b"one\n")
    with open(here / "d/a", "ab") as f:
        f.write(b"two\n")
    (here / "d/a").rename(here / "d/b")
    (here / "d/link").symlink_to("b")
    assert sorted(p.name for p in (here / "d").iterdir()) == ["b", "link"]
    assert (here / "d/link").read_bytes() == b"one\ntwo\n"
    (here / "d/link").unlink()
    unmount(mounted)
    assert (case.remote / "d/b").read_bytes() == b"one\ntwo\n"
    case.compare()
