"""The main job, step by step, each with a real code from oathtool:

1. alice comes by plain ssh; nobody has approved: she is told who was asked, and waits while keepalives flow.
2. maria looks and approves, over ssh and on the box.
3. The same connection goes on into a shell on osv1: size, vim, Ctrl-C, ten megabytes, exit status, osv1's own log.
4. The window ends: a warning before, the cut within a second, nothing left on osv1.  revoke does the same.
5. otto finds, plays, verifies and exports; a changed byte is named.
"""

import os
import re
import signal
import subprocess
import time

import pexpect
import pytest
from site_of_lodge import wait_for


SITE_WORDS = ()  # with codes


@pytest.fixture(scope="module")
def s(site):
    return site


@pytest.fixture(scope="module")
def alice(s):
    return s.terminal("alice+osv1", options=("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"))


def test_1_she_waits_and_knows_for_whom(s, alice):
    alice.expect_exact("Verification code:")
    alice.sendline(s.code("alice"))
    alice.expect_exact("asked of maria; waiting for a yes until")
    alice.expect(r"lodge: waiting \d+ s; lapses in 30 min")
    time.sleep(3)  # longer than her client bears silence: keepalives are answered
    assert alice.isalive()
    alice.expect(r"lodge: waiting \d+ s")


def test_2_maria_looks_and_says_yes(s, alice):
    assert "alice" in s.verb("maria", "requests")
    shown = s.verb("maria", "show", "1")
    for word in ("alice", "Alice Engineer", "unify", "osv1", s.account, "127.0.0.1", "SHA256:"):
        assert word in shown, f"{word} is not on maria's screen:\n{shown}"
    on_the_box = s.lodge("show", "1", uid=64211)
    assert on_the_box.returncode == 0
    assert "Alice Engineer" in on_the_box.stdout
    assert s.lodge("approve", "1", "--for", "60s").returncode != 0, "root operates, and never approves"
    assert "approved" in s.verb("maria", "approve", "1", "--for", "60s")
    s.approved = s.now()


def test_3_the_same_connection_goes_on(s, alice):
    prompt = f"{s.account}@osv1:"
    alice.expect_exact(prompt)
    alice.sendline("id -un; stty size; echo $TERM")
    alice.expect(rf"{s.account}\r\n30 100\r\nxterm-256color\r\n")
    alice.setwinsize(41, 123)
    alice.expect_exact(prompt)
    alice.sendline("stty size")
    alice.expect_exact("41 123")
    alice.expect_exact(prompt)
    alice.sendline("vim -u NONE note")
    alice.expect_exact('"note"')
    alice.send("iwritten in vim\x1b:wq\r")
    alice.expect_exact(prompt)
    assert (s.dir / "osv1/home/note").read_text() == "written in vim\n"
    alice.sendline("sleep 600")
    wait_for(lambda: s.target_processes("sleep 600"), "her job")
    alice.send("\x03")
    alice.expect_exact(prompt)
    alice.sendline("echo status $?")
    alice.expect_exact("status 130")


def test_3b_ten_megabytes_and_an_exit_status(s, alice):
    payload = os.urandom(10_000_000)
    (s.dir / "osv1/home/ten").write_bytes(payload)
    # MFAGrace: the code of a moment ago is good for this one; askpass would find none that was not used
    done = s.ssh("alice+osv1", "cat ten; exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout == payload
    accepted = [x for x in (s.dir / "osv1/sshd.log").read_text().splitlines() if "Accepted publickey" in x]
    assert re.search(r"ED25519-CERT.* ID lodge grant=1 session=\d+ person=alice .*CA ED25519", accepted[-1])


def test_4_the_window_ends(s, alice):
    alice.sendline("sleep 4242")
    wait_for(lambda: s.target_processes("sleep 4242"), "her foreground job")
    s.turn_to(s.approved + 31)
    alice.expect(r"lodge: .*(ends? (in|at)|left)")
    assert alice.isalive()
    s.turn_to(s.approved + 59)
    alice.expect_exact("lodge: ended [window-ended]")
    assert s.now() < s.approved + 61.5  # within a second, and what a slow machine adds to it
    alice.expect_exact("approved by maria")
    alice.expect(r"recording [0-9a-f]{32}, \d+ segments?, SHA256SUMS [0-9a-f]{64}")
    alice.expect(pexpect.EOF)
    alice.wait()
    assert alice.exitstatus == 124
    wait_for(lambda: not s.target_processes("sleep 4242"), "the end of her job on osv1", 2)


def test_4b_revoke_does_the_same(s):
    again = s.terminal("alice+osv1")
    again.expect_exact("Verification code:")  # MFAGrace ended with the grant
    again.sendline(s.code("alice"))
    again.expect_exact("asked of maria")
    s.approve(2, "--for", "10m")
    again.expect_exact(f"{s.account}@osv1:")
    again.sendline("sleep 4243")
    wait_for(lambda: s.target_processes("sleep 4243"), "her foreground job")
    s.verb("maria", "revoke", "2", "--why", "wrong node")
    again.expect_exact("lodge: ended [revoked] maria took the approval back: wrong node")
    again.expect(pexpect.EOF)
    again.wait()
    assert again.exitstatus == 124
    wait_for(lambda: not s.target_processes("sleep 4243"), "the end of her job on osv1", 2)


def test_5_otto_reads_and_proves(s):
    rows = s.sealed(3)
    assert {r["person"] for r in rows} == {"alice"}
    played = s.verb("otto", "play", "1", "--speed", "0")
    assert "written in vim" in played
    assert "\x1b" not in played
    assert "sealed" in s.verb("otto", "verify", "1")
    assert s.ssh("otto", "verify", "--all").returncode == 0


def test_5b_an_exported_copy_proves_itself(s, tmp_path):
    bundle = s.ssh("otto", "export", "1")
    assert bundle.returncode == 0, bundle.stderr
    (tmp_path / "bundle.tar").write_bytes(bundle.stdout)
    subprocess.run(["tar", "-xmf", "bundle.tar"], cwd=tmp_path, check=True)
    (sums,) = tmp_path.rglob("SHA256SUMS")
    replay = lambda *words: subprocess.run(
        [s.dir / "lib/lodge-replay", *words, sums.parent], capture_output=True, text=True
    )
    good = replay("verify")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "written in vim" in replay("play", "--identity", s.dir / "etc/reading.age", "--speed", "0").stdout
    stock = subprocess.run(["sh", "./verify.sh"], cwd=sums.parent, capture_output=True, text=True)
    assert stock.returncode == 0, stock.stdout + stock.stderr
    # stock age and zstd open a segment, and it is an asciicast v3
    segment = sorted(sums.parent.glob("0*.cast.zst.age"))[0]
    opened = subprocess.run(
        f"age -d -i {s.dir}/etc/reading.age {segment} | zstd -dc", shell=True, capture_output=True
    ).stdout
    assert b'"version":3' in opened.replace(b" ", b"").splitlines()[0]
    # one byte
    damaged = bytearray(segment.read_bytes())
    damaged[-100] ^= 1
    segment.write_bytes(damaged)
    bad = replay("verify")
    assert bad.returncode != 0
    assert segment.name in bad.stdout + bad.stderr
    bad = replay("verify", "--identity", s.dir / "etc/reading.age")
    assert bad.returncode != 0
    assert "chunk" in bad.stdout + bad.stderr
    assert subprocess.run(["sh", "./verify.sh"], cwd=sums.parent, capture_output=True).returncode != 0


def test_6_the_book_tells_it_all(s):
    actions = [e["event"]["action"] for e in s.events("otto")]
    order = ["gateway.start", "login", "request.asked", "request.approved", "visit.begun", "grant.expired", "visit.ended"]
    at = -1
    for action in order:
        assert action in actions[at + 1 :], f"{action} does not follow {actions[: at + 1][-3:]}: {actions}"
        at = actions.index(action, at + 1)
    assert "grant.revoked" in actions
    assert "reading" in actions
