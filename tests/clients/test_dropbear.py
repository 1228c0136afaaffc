"""Dropbear's dbclient, alone and under scp.  Through Lodge by -J: its own multi-hop form."""

import hashlib
import shutil

import pexpect
import pytest
from ground import free_port

pytestmark = pytest.mark.client("Dropbear dbclient")
feature = pytest.mark.feature


def dbclient(case, *options):
    """Up to where the command goes.  Host keys are learnt into a home of the case's own.  By its whole path: for the
    second hop dbclient starts itself again, and does not look along PATH for it."""
    ground, way = case.ground, case.way
    words = [shutil.which("dbclient"), "-y", "-i", ground.dir / "alice.dropbear", *options]
    if way.is_jump:
        return [*words, f"alice@127.0.0.1/{ground.ways['plus'].port},{way.user}@osv1"]
    return [*words, "-p", way.port, f"{way.user}@{way.address}"]


def run(case, words, **how):
    return case.run(words, env={"HOME": str(case.local)}, **how)


@feature("exec")
@pytest.mark.parametrize("status", [0, 3, 77, 255])
def test_exec(case, status):
    done = run(case, [*dbclient(case), f"printf 'a\\0b\\377'; echo err >&2; exit {status}"], status=status)
    assert done.stdout == b"a\0b\xff"
    assert b"err" in done.stderr
    case.compare()


@feature("streams")
def test_streams(case):
    with open(case.ground.up, "rb") as f:
        done = run(case, [*dbclient(case), f"cat > {case.name}/up.bin; cat down.bin"], stdin=f)
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@feature("shell")
def test_shell(case):
    words = [str(w) for w in dbclient(case, "-t")]
    env = dict(case.ground.env, HOME=str(case.local), TERM="vt100")
    one = pexpect.spawn(words[0], words[1:], env=env, dimensions=(33, 99), timeout=60, encoding="utf-8")
    case.ground.site.terminals.append(one)
    one.expect_exact("@osv1:")
    one.send("stty size; echo $TERM\r")
    one.expect_exact("33 99\r\nvt100\r\n")
    one.send("exit 6\r")
    one.expect(pexpect.EOF)
    one.wait()
    assert one.exitstatus == 6
    case.compare()


def scp(case, *words):
    """scp -S dbclient: scp gives options of OpenSSH's, and then the words of one hop."""
    hop = dbclient(case)
    wrapper = case.local / "as-ssh"
    wrapper.write_text(
        f"""#!/bin/bash
while [ "$1" != -- ]; do shift; done  # scp's options for OpenSSH, and the host, which stands below
shift 2
exec {' '.join(map(str, hop))} "$@"
"""
    )
    wrapper.chmod(0o755)
    return run(case, ["scp", "-O", "-q", "-S", wrapper, *words])


@feature("put")
def test_scp_put(case):
    scp(case, case.ground.up, f"x:{case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
def test_scp_get(case):
    scp(case, "x:down.bin", case.local / "down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("tree")
def test_scp_trees(case):
    scp(case, "-r", case.tree_here(), f"x:{case.name}/")
    case.tree_uploaded()
    scp(case, "-r", f"x:{case.name}/tree", case.local / "back")
    case.tree_downloaded(case.local / "back")
    case.compare()


@feature("forwards")
def test_forward(case):
    page, port = case.ground.page, free_port()
    one = case.begin(
        [*dbclient(case, "-L", f"{port}:127.0.0.1:{page.port}"), "echo here; cat"], env={"HOME": str(case.local)}
    )
    assert one.stdout.readline() == b"here\n"
    assert page.fetch(f"http://127.0.0.1:{port}/") == page.body
    one.communicate(timeout=30)
    case.compare_forwards(1)
