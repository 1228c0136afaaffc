"""The second factor: each wrong or used code has its reason in the book; MFAGrace lets several connections ride on one
code, for the same login, key and address, and not past the grant; managers' deciding verbs ride on it only with a key
proof that is bound to this host, which stock OpenSSH sends."""

import re
import subprocess

import pexpect
import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--set", "PenaltyLeast=0")


@pytest.fixture(scope="module")
def s(site):
    return site


def reasons(s):
    return [e["event"].get("reason") for e in s.events("otto") if e["event"]["action"] == "login.attempt"]


def test_a_wrong_code(s):
    one = s.terminal("alice", "help")
    one.expect_exact("Verification code:")
    one.sendline("000000")
    one.expect_exact("lodge: denied [wrong-code]")
    one.close(force=True)
    wait_for(lambda: "wrong-code" in reasons(s), "the event")


def test_a_code_is_good_once(s):
    code = s.code("alice")
    one = s.terminal("alice", "request", "osv1", "--for", "1h", "--why", "codes")
    one.expect_exact("Verification code:")
    one.sendline(code)
    one.expect(r"request (\d+)")
    number = one.match.group(1)
    one.expect(pexpect.EOF)
    # from elsewhere grace does not hold, so the code is asked; and it was used
    other = s.terminal("alice", "help", options=("-o", "BindAddress=127.0.0.2"))
    other.expect_exact("Verification code:")
    other.sendline(code)
    other.expect_exact("lodge: denied [replayed-code]")
    other.close(force=True)
    wait_for(lambda: "replayed-code" in reasons(s), "the event")
    s.approve(number, "--for", "1h")


def test_grace_for_many_connections_at_once(s):
    """scp's and shells in parallel ask once: askpass would find no code that was not used."""
    many = [s.begin("alice+osv1", f"echo {n}", options=("-T", "-o", "NumberOfPasswordPrompts=1")) for n in range(5)]
    for n, one in enumerate(many):
        out, err = one.communicate(timeout=40)
        assert out == b"%d\n" % n, err
    logins = [e for e in s.events("otto", "login") if e["user"]["name"] == "alice"]
    assert len(logins) >= 6


def test_stock_openssh_binds_its_proofs(s):
    """maria decides on a grace, for her client's proof names our host key."""
    asked = s.verb("alice", "request", "osv1", "--account", s.account, "--from", "23:59", "--for", "10m", "--why", "later")
    number = re.search(r"request (\d+)", asked).group(1)
    assert "denied" in s.verb("maria", "deny", number, "--why", "no")


def test_grace_ends_with_the_grant(s):
    s.verb("maria", "revoke", "1", "--why", "done")
    one = s.terminal("alice", "help")
    one.expect_exact("Verification code:")
    one.close(force=True)


def test_a_new_auth_lets_no_used_code_in(s):
    """pam_oath writes down what was used, and decides; that it was is known to the new auth too."""
    used = (s.dir / "clients/otto.last").read_text().strip()
    s.kill("auth")
    one = s.terminal("otto", "help", options=("-o", "BindAddress=127.0.0.3"))
    one.expect_exact("Verification code:")
    one.sendline(used)
    one.expect_exact("lodge: denied [replayed-code]")
    one.close(force=True)
