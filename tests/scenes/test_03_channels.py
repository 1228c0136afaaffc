"""Shells and commands behave as on a direct connection: streams apart, ends of file, exit status and signal, the
environment that is passed, window changes, several channels on one connection, large output and input, rekeying."""

import hashlib
import os
import subprocess
import time

import pexpect
import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code",)


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    return site


def direct(s, *words, stdin=b""):
    """The same command without Lodge, for comparison: as the account itself."""
    return subprocess.run(
        ["runuser", "-u", s.account, "--", "bash", "-c", " ".join(words)], input=stdin, capture_output=True, cwd="/"
    )


def test_standard_error_is_apart(s):
    done = s.ssh("alice+osv1", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


@pytest.mark.parametrize("status", [0, 1, 42, 124, 255])
def test_exit_status(s, status):
    assert s.ssh("alice+osv1", f"exit {status}").returncode == status


def test_exit_signal(s):
    done = s.ssh("alice+osv1", "kill -TERM $$", options=("-T", "-v"))
    assert b"exit-signal" in done.stderr
    assert done.returncode == 255


def test_end_of_input_reaches_the_target(s):
    assert s.ssh("alice+osv1", "cat; echo after", stdin=b"before\n").stdout == b"before\nafter\n"


def test_a_command_that_reads_nothing_ends(s):
    assert s.ssh("alice+osv1", "true", stdin=os.urandom(3_000_000)).returncode == 0


def test_a_shell_without_terminal(s):
    done = s.ssh("alice+osv1", stdin=b"echo $((6*7)); tty; exit 5\n")
    assert done.returncode == 5
    assert b"42\n" in done.stdout and b"not a tty" in done.stdout


def test_environment(s):
    done = s.ssh("alice+osv1", "env", options=("-T", "-o", "SetEnv=LC_ALL=C LANG=C.UTF-8 PATH=/evil LD_PRELOAD=x"))
    env = done.stdout.decode().splitlines()
    assert "LC_ALL=C" in env and "LANG=C.UTF-8" in env
    assert not [x for x in env if "evil" in x or x.startswith("LD_PRELOAD")]


def test_terminal_modes_pass(s):
    one = s.terminal("alice+osv1", "stty -a", options=("-t",))
    one.expect(pexpect.EOF)
    shown = one.before
    assert "rows 30" in shown and "columns 100" in shown
    one.wait()
    assert one.exitstatus == 0


def test_large_output_is_the_same(s):
    data = os.urandom(10_000_000)
    (s.dir / "osv1/home/large").write_bytes(data)
    for options in (("-T",), ("-T", "-o", "RekeyLimit=1M")):
        assert s.ssh("alice+osv1", "cat large", options=options).stdout == data


def test_large_input_is_the_same(s):
    data = os.urandom(6_000_000)
    for options in (("-T",), ("-T", "-o", "RekeyLimit=1M")):
        done = s.ssh("alice+osv1", "sha256sum", stdin=data, options=options)
        assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_both_ways_at_once(s):
    data = os.urandom(4_000_000)
    assert s.ssh("alice+osv1", "cat", stdin=data, options=("-T", "-o", "RekeyLimit=1M")).stdout == data


def test_many_channels_on_one_connection(s):
    path = s.dir / "mux"
    options = ("-T", "-o", f"ControlPath={path}")
    master = s.begin("alice+osv1", options=("-MNT", "-o", f"ControlPath={path}"))
    wait_for(path.exists, "the master's socket")
    many = [s.begin("alice+osv1", f"sleep 0.3; echo {n}; exit {n}", options=options) for n in range(8)]
    for n, one in enumerate(many):
        out, err = one.communicate(timeout=30)
        assert (one.returncode, out) == (n, b"%d\n" % n), err
    before = len(s.json("maria", "sessions"))
    assert before >= 1
    master.terminate()
    master.communicate()


def test_who_does_not_read_holds_nobody_up(s):
    stuck = s.begin("alice+osv1", "head -c 40000000 /dev/zero")
    time.sleep(1)
    assert s.ssh("alice+osv1", "echo alive").stdout == b"alive\n"
    (session,) = wait_for(lambda: len(s.sessions()) == 1 and s.sessions(), "the end of the other session")
    rss = int([x for x in open(f"/proc/{session}/status") if x.startswith("VmRSS")][0].split()[1])
    time.sleep(1)
    assert int([x for x in open(f"/proc/{session}/status") if x.startswith("VmRSS")][0].split()[1]) < rss + 4096
    out, err = stuck.communicate(timeout=60)
    assert out == bytes(40_000_000), err


def test_a_client_that_vanishes_leaves_nothing(s):
    gone = s.begin("alice+osv1", "echo here; exec sleep 7777")
    assert gone.stdout.readline() == b"here\n"
    gone.kill()
    wait_for(lambda: not s.sessions(), "the end of her session")
    wait_for(lambda: not s.target_processes("sleep 7777"), "the end of her command", 30)


def test_all_of_it_is_recorded_and_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
