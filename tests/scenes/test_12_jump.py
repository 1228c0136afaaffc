"""ssh -J alice@lodge [account@]osv1: the target is reached through a jump as it is by its login name; the key is Lodge's
own, nothing is asked a second time, everything is recorded, and one jump is all there is."""

import hashlib
import os
import subprocess

import pexpect
import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code",)


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    with open(site.dir / "ssh_config", "a") as f:
        f.write(
            f"Host osv1 osv9 inner\n    ProxyJump alice@lodge\n    User {site.account}\n"
            f"    HostKeyAlias [127.0.0.1]:{site.port}\n    UserKnownHostsFile {site.dir}/clients/known_hosts\n"
            "    GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    IdentityAgent none\n"
            "    IdentityFile none\n    ServerAliveInterval 5\n"
        )
    return site


def jump(s, *words, host="osv1", options=("-T",), stdin=b"", timeout=60, how=subprocess.run):
    words = ["ssh", "-F", str(s.dir / "ssh_config"), *options, host, *words]
    if how is subprocess.run:
        return how(words, input=stdin, capture_output=True, timeout=timeout)
    one = how(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    s.terminals.append(one)
    return one


def test_a_command(s):
    done = jump(s, "echo out; echo err >&2; id -un; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"out\n%s\n" % s.account.encode(), b"err\n")


def test_the_key_is_lodges_own(s):
    """Without HostKeyAlias stock ssh says by itself by which name it knows this key."""
    done = jump(
        s,
        "true",
        options=("-T", "-o", "HostKeyAlias=osv1", "-o", "StrictHostKeyChecking=ask", "-o", "BatchMode=no"),
    )
    assert done.returncode == 255
    said = done.stderr.decode()
    shown = s.facts["host_key_fingerprint"]
    assert shown in said or "Host key verification failed" in said, said


def test_the_account_is_the_inner_users_name(s):
    """The person's own name, which a client sends when it is given none, means the usual account."""
    assert jump(s, "id -un", options=("-T", "-l", "alice")).stdout.decode().strip() == s.account
    assert jump(s, "id -un", options=("-T", "-l", f"alice+osv1+{s.account}")).stdout.decode().strip() == s.account
    done = jump(s, "id -un", options=("-T", "-l", "root"))
    assert done.returncode == 77, done.stderr
    assert b"[unknown-account]" in done.stderr and s.account.encode() in done.stderr


def test_an_unknown_target_is_refused_with_its_reason(s):
    done = jump(s, "true", host="osv9")
    assert done.returncode == 77
    assert b"lodge: denied [unknown-target]" in done.stderr


def test_a_jump_in_a_jump_is_not_carried(s):
    done = jump(s, "true", host="osv1", options=("-T", "-W", "osv1:22"))
    assert done.returncode != 0
    assert b"[nested]" in done.stderr, done.stderr


def test_a_terminal(s):
    one = pexpect.spawn(
        "ssh", ["-F", str(s.dir / "ssh_config"), "osv1"], timeout=20, encoding="utf-8", dimensions=(30, 100)
    )
    s.terminals.append(one)
    one.expect_exact("this session is recorded")
    one.expect_exact(f"{s.account}@osv1:")
    one.sendline("stty size; exit 3")
    one.expect_exact("30 100")
    one.expect_exact("lodge: recording")
    one.expect(pexpect.EOF)
    one.close()
    assert one.exitstatus == 3


def test_bytes_both_ways_and_new_keys_on_the_way(s):
    data = os.urandom(6_000_000)
    done = jump(s, "tee copy", stdin=data, options=("-T", "-o", "RekeyLimit=1M"))
    assert done.stdout == data
    assert hashlib.sha256((s.dir / "osv1/home/copy").read_bytes()).digest() == hashlib.sha256(data).digest()


def test_many_jumps_through_one_connection(s):
    path = s.dir / "jump-mux"
    master = s.begin("alice", options=("-MNT", "-o", f"ControlPath={path}"))
    wait_for(path.exists, "the master's socket")
    proxy = f"ProxyCommand=ssh -F {s.dir}/ssh_config -o ControlPath={path} -W osv1:22 alice@127.0.0.1"
    many = [jump(s, f"echo {n}; exit {n}", options=("-T", "-o", "ProxyJump=none", "-o", proxy), how=subprocess.Popen) for n in range(6)]
    for n, one in enumerate(many):
        out, err = one.communicate(timeout=60)
        assert (one.returncode, out) == (n, b"%d\n" % n), err
    assert len(s.sessions()) == 1, "one connection carried them all"
    master.terminate()
    master.communicate()


def test_a_manager_ends_a_jump(s):
    one = jump(s, "echo here; exec sleep 7778", how=subprocess.Popen)
    assert one.stdout.readline() == b"here\n"
    rows = [r for r in s.json("maria", "sessions") if r.get("person") == "alice"]
    assert rows, "she is seen"
    s.verb("maria", "end", "--target", "osv1", "--why", "enough")
    out, err = one.communicate(timeout=20)
    assert one.returncode == 124 and b"lodge: ended [ended]" in err and b"enough" in err, (one.returncode, err)
    wait_for(lambda: not s.target_processes("sleep 7778"), "the end of her command")


def test_a_client_that_vanishes_leaves_nothing(s):
    one = jump(s, "echo here; exec sleep 7779", how=subprocess.Popen)
    assert one.stdout.readline() == b"here\n"
    one.kill()
    wait_for(lambda: not s.sessions(), "the end of her session", 30)
    wait_for(lambda: not s.target_processes("sleep 7779"), "the end of her command", 30)


def test_all_of_it_is_recorded_and_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
