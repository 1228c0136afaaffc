"""A code given anew, after the login: where a verb decides and its speaker rode on an earlier code, and at a target that wants
one of its own.  It is asked for where the person is: on the terminal, in a pipe, in the jump's inner ssh, at the login.

Two new codes a person in half a minute is all that there are: each scene has its own person, or asks for none.
"""

import re
import subprocess

import pexpect
import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--set", "PenaltyLeast=0")
UNBOUND = ("-o", "PubkeyAuthentication=unbound")  # as PuTTY's proofs are, and paramiko's
PROMPT = "Verification code:"


@pytest.fixture(scope="module")
def s(site):
    """alice's visits are approved, and everybody has logged in once with a code."""
    line = " ".join((site.dir / "osv1/host_ed25519.pub").read_text().split()[:2])
    added = site.lodge("target", "add", "strict", "--address", f"127.0.0.1:{site.facts['sshd_port']}", "--account", site.account,
                       "--host-key", line, "--fresh-code", "yes")
    assert added.returncode == 0, added.stderr
    site.verb("otto", "recordings")
    for target in ("strict", "osv1"):
        said = site.verb("alice", "request", target, "--for", "2h", "--why", "28")
        site.approve(re.search(r"request (\d+)", said).group(1))
    said = site.verb("alice", "request", "osv1", "--from", "23:59", "--for", "10m", "--why", "waits for maria")
    site.waiting = re.search(r"request (\d+)", said).group(1)
    return site


def state(s):
    (row,) = [r for r in s.json("maria", "requests", "--all") if str(r.get("number", r.get("request"))) == s.waiting]
    return row["state"]


def test_a_verb_without_a_code_decides_nothing(s):
    """The end of input, Ctrl-C and Ctrl-D are no answer."""
    done = s.ssh("maria", "deny", s.waiting, "--why", "no", options=("-T", *UNBOUND))
    assert done.returncode == 77 and PROMPT.encode() in done.stderr and b"[fresh-code]" in done.stderr, done
    assert done.stdout == b""
    for key in "\x03\x04":
        one = s.terminal("maria", "deny", s.waiting, "--why", "no", options=("-t", *UNBOUND))
        one.expect_exact(PROMPT)
        one.send(key)
        one.expect_exact("[fresh-code]")
        one.expect(pexpect.EOF)
    assert state(s) == "asked"
    refused = [e["event"].get("reason") for e in s.events("maria", "login.fresh-code")]
    assert len(refused) == 3 and all(refused), refused


def test_auth_and_policy_die_while_a_code_is_awaited(s):
    for name in ("policy", "auth"):
        one = s.terminal("maria", "deny", s.waiting, "--why", "no", options=("-t", *UNBOUND))
        one.expect_exact(PROMPT)
        s.kill(name)
        if name == "auth":  # that conversation is gone; policy's end changes nothing that is asked
            one.expect_exact(PROMPT)
        one.send("\x03")
        one.expect_exact("[fresh-code]")
        one.expect(pexpect.EOF)
    assert state(s) == "asked"


def test_a_verb_on_a_terminal(s):
    """What was typed before the question is none of its answer; nothing is echoed, and a wrong key can be taken back."""
    one = s.terminal("maria", "deny", s.waiting, "--why", "no", options=("-t", *UNBOUND))
    one.send("111111\r" * 3)
    one.expect_exact(PROMPT)
    code = s.code("maria")
    one.send("99\x7f\b" + "77\x15" + code[:3] + "0\x7f" + code[3:] + "\r")
    one.expect(pexpect.EOF)
    one.close()
    assert one.exitstatus == 0, one.before
    assert code not in one.before and state(s) == "denied"


def test_a_verb_in_a_pipe(s):
    """The first line is the answer; otto's export goes to standard output whole, and nothing of the question does."""
    assert s.ssh("alice+osv1", "echo seen").stdout == b"seen\n"
    (row, *_) = s.sealed(1)
    done = s.ssh("otto", "export", str(row["number"]), options=("-T", *UNBOUND), stdin=s.code("otto").encode() + b"\nmore\n")
    assert done.returncode == 0 and PROMPT.encode() in done.stderr, done.stderr
    assert done.stdout[257:262] == b"ustar" and PROMPT.encode() not in done.stdout[:512]


def jump(s, target):
    inner = f"ssh -F {s.dir}/ssh_config -T -W %h:%p alice@127.0.0.1"
    return ["-F", str(s.dir / "ssh_config"), "-o", f"ProxyCommand={inner}", "-o", "HostName=" + target, "-o", "HostKeyAlias=lodge",
            "-o", f"UserKnownHostsFile={s.dir}/clients/jump", "-o", "Port=22", f"{s.account}@lodge"]


def test_inside_a_jump(s):
    """The inner ssh asks, where the target wants that; elsewhere it asks nothing."""
    (s.dir / "clients/jump").write_text("lodge " + " ".join((s.dir / "etc/host_ed25519.pub").read_text().split()[:2]) + "\n")
    plain = subprocess.run(["ssh", *jump(s, "osv1"), "echo in"], capture_output=True, timeout=60, env=s.askpass())
    assert plain.stdout == b"in\n", plain.stderr
    one = pexpect.spawn("ssh", [*jump(s, "strict"), "echo in"], encoding="utf-8", timeout=20)
    s.terminals.append(one)
    one.expect_exact(PROMPT)
    one.sendline(s.code("alice"))
    one.expect_exact("in\r\n")
    one.expect(pexpect.EOF)


def test_inside_a_jump_without_a_code(s):
    one = pexpect.spawn("ssh", [*jump(s, "strict"), "echo in"], encoding="utf-8", timeout=20)
    s.terminals.append(one)
    one.expect_exact(PROMPT)
    one.sendline("")
    one.expect_exact("lodge: denied [fresh-code]")
    one.close(force=True)
    batch = subprocess.run(["ssh", "-o", "BatchMode=yes", *jump(s, "strict"), "echo in"], capture_output=True, timeout=60)
    assert batch.returncode == 255 and batch.stdout == b"", batch


def test_a_jump_that_left_at_its_question(s):
    """Within one outer connection: the next one is asked at once, not when that question has lapsed."""
    shared = s.dir / "clients/shared"
    s.begin("alice", options=("-N", "-M", "-S", shared))
    wait_for(shared.exists, "the outer connection")
    words = [w.replace("-T -W", f"-S {shared} -T -W") for w in jump(s, "strict")]
    batch = subprocess.run(["ssh", "-o", "BatchMode=yes", *words, "echo in"], capture_output=True, timeout=60)
    assert batch.returncode == 255 and batch.stdout == b"", batch
    one = pexpect.spawn("ssh", [*words, "echo in"], encoding="utf-8", timeout=10)
    s.terminals.append(one)
    one.expect_exact(PROMPT)
    one.close(force=True)
    subprocess.run(["ssh", "-S", shared, "-O", "exit", "alice@127.0.0.1"], capture_output=True, timeout=60)


def test_at_the_login(s):
    """Her earlier code is not enough for that name."""
    one = s.terminal("alice+strict", "echo in")
    one.expect_exact(PROMPT)
    one.close(force=True)
    done = s.ssh("alice+osv1", "echo in")
    assert done.stdout == b"in\n", done.stderr
