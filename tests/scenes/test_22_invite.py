"""An engineer whom the gateway knows by name only comes with an invitation: a key of their own, a secret that they are
shown once, and its code make them known.  Nothing of it works twice, late, or halfway; whoever guesses sees what a
stranger sees."""

import re
import subprocess
import time
import urllib.parse

import pexpect
import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--set", "PenaltyLeast=0")


@pytest.fixture(scope="module")
def s(site):
    site.first = {}  # what the first invitation gave
    return site


def key_make(s, name):
    path = s.dir / "clients" / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    return path


def invite(s, person, add=True):
    """Adds somebody without a key, and invites them; the code."""
    if add:
        done = s.lodge("person", "add", person, "--vendor", "unify", "--role", "engineer")
        assert done.returncode == 0, done.stderr
    done = s.lodge("person", "invite", person)
    assert done.returncode == 0, done.stderr
    return re.search(r"invite\+([a-z2-7]{26})@", done.stdout).group(1)


def come(s, login, key, *words, source="127.0.0.1"):
    """On a terminal, with this key alone."""
    options = ("-o", f"IdentityFile={key}", "-o", "IdentitiesOnly=yes", "-o", f"BindAddress={source}")
    return s.terminal(login, *words, options=options, size=(60, 100))


def secret_of(one):
    """Waits for the picture and the line below it; the secret, as the telephone would read it."""
    one.expect(r"otpauth://totp/(\S+)\s")
    shown = one.before
    url = urllib.parse.urlsplit("otpauth://totp/" + one.match.group(1))
    fields = urllib.parse.parse_qs(url.query)
    one.expect_exact("Verification code:")
    return shown, url, fields


def code_of(base32, steps=0):
    """Of the half minute `steps` from now."""
    at = f"@{int(time.time()) + 30 * steps}"
    return subprocess.run(
        ["oathtool", "--totp", "-b", "--now", at, base32], capture_output=True, text=True, check=True
    ).stdout.strip()


def users_file(s):
    return (s.dir / "pam/users.oath").read_text()


def actions(s, action, about=None):
    found = s.events("otto", action)
    return [e for e in found if about is None or about in str(e)]


def refused_as_a_stranger(s, login, key):
    """The very words that a name gets which nobody has."""
    said = []
    for name in (login, "nobody-of-that-name"):
        one = come(s, name, key)
        one.expect(pexpect.EOF)
        said.append(one.before.replace(name, "NAME"))
        one.close()
        assert one.exitstatus == 255
    assert said[0] == said[1]
    assert "lodge:" not in said[0]


def test_a_whole_invitation(s):
    key = key_make(s, "carol")
    code = invite(s, "carol")
    one = come(s, f"invite+{code}", key, "help")
    shown, url, fields = secret_of(one)
    assert url.path == f"/lodge-{s.port}:carol" and fields["issuer"] == [f"lodge-{s.port}"]
    picture = [line for line in shown.splitlines() if "\u2588" in line]
    assert len(picture) >= 20 and all(len(line.rstrip()) <= 80 for line in picture), shown
    base32 = fields["secret"][0]
    s.turn(300, wall=False)  # to install an authenticator takes longer than LoginGraceTime and PAMTimeout
    one.sendline("000000")
    one.expect_exact("[wrong-code]")
    one.expect_exact("Verification code:")
    assert "otpauth" not in one.before  # it is shown once
    used = code_of(base32)
    one.sendline(used)
    one.expect_exact("lodge: you are enrolled as carol; from now on: ssh carol@lodge")
    one.expect(pexpect.EOF)
    assert "request" in one.before  # what `help` says
    assert re.search(r"^HOTP/T30/6\s+carol\s", users_file(s), re.M)
    s.first = {"code": code, "key": key, "base32": base32, "used": used}
    wait_for(lambda: actions(s, "invite.used", "carol"), "the event")
    assert key.with_suffix(".pub").read_text().split()[1] not in str(actions(s, "invite.used"))
    shown = s.lodge("person", "show", "carol", "--json").stdout
    assert "invitation" in shown


def test_it_was_told_to_nobody(s):
    """Neither the invitation's code nor the secret stands in a log, an event or the database."""
    hexed = subprocess.run(["base32", "-d"], input=s.first["base32"].encode(), capture_output=True).stdout.hex()
    places = [s.log(), str(s.events("otto"))]
    places += [p.read_bytes().decode("latin-1") for p in (s.dir / "state").rglob("*") if p.is_file()]
    for place in places:
        assert s.first["code"] not in place
        assert s.first["base32"] not in place and hexed not in place.lower()
    assert hexed in users_file(s).lower()


def test_the_code_that_enrolled_is_used(s):
    one = come(s, "carol", s.first["key"], "help", source="127.0.0.2")  # whence there is no grace
    one.expect_exact("Verification code:")
    one.sendline(s.first["used"])
    one.expect(r"\[(replayed|wrong)-code\]")
    one.expect_exact("Verification code:")
    one.sendline(code_of(s.first["base32"], 1))
    one.expect(pexpect.EOF)
    assert "request" in one.before


def test_the_invitation_is_used(s):
    refused_as_a_stranger(s, f"invite+{s.first['code']}", s.first["key"])
    refused_as_a_stranger(s, f"invite+{s.first['code']}", key_make(s, "thief"))


def test_a_code_that_nobody_made(s):
    refused_as_a_stranger(s, "invite+" + 26 * "a", key_make(s, "guess"))
    refused_as_a_stranger(s, "invite", key_make(s, "guess-2"))
    wait_for(lambda: [e for e in actions(s, "login.attempt") if e["event"].get("reason") == "invite"], "the event")


def test_who_leaves_leaves_nothing(s):
    """Before the code: the users file, the database and the invitation are as before."""
    key, code = key_make(s, "dave"), invite(s, "dave")
    before = users_file(s)
    one = come(s, f"invite+{code}", key)
    first = secret_of(one)[2]["secret"][0]
    one.close(force=True)
    assert users_file(s) == before
    assert "dave" not in str(actions(s, "invite.used"))
    assert key.with_suffix(".pub").read_text().split()[1][:40] not in s.lodge("person", "show", "dave").stdout
    one = come(s, f"invite+{code}", key, "help")
    second = secret_of(one)[2]["secret"][0]
    assert first != second
    one.sendline(code_of(second))
    one.expect_exact("lodge: you are enrolled as dave")
    one.expect(pexpect.EOF)
    assert users_file(s).startswith(before)


def test_two_with_one(s):
    """One of them wins; the other's key and secret are nobody's."""
    keys, code = [key_make(s, "erin"), key_make(s, "erin-2")], invite(s, "erin")
    both = [come(s, f"invite+{code}", key, "help") for key in keys]
    secrets = [secret_of(one)[2]["secret"][0] for one in both]
    for one, secret in zip(both, secrets):
        one.sendline(code_of(secret))
    said = []
    for one in both:
        one.expect(pexpect.EOF)
        said.append("you are enrolled as erin" in one.before)
    assert sorted(said) == [False, True]
    shown = s.lodge("person", "show", "erin").stdout
    prints = [
        subprocess.run(["ssh-keygen", "-lf", f"{k}.pub"], capture_output=True, text=True).stdout.split()[1] for k in keys
    ]
    assert [p in shown for p in prints] == said
    winner = subprocess.run(["base32", "-d"], input=secrets[said.index(True)].encode(), capture_output=True).stdout.hex()
    assert winner in users_file(s).lower() and users_file(s).count("erin") == 1


def test_a_users_file_that_cannot_be_written(s):
    key, code = key_make(s, "frank"), invite(s, "frank")
    path = s.dir / "pam/users.oath"
    good = path.read_text()
    path.write_text(good + "this is no line of it\n")
    one = come(s, f"invite+{code}", key, "help")
    secret = secret_of(one)[2]["secret"][0]
    one.sendline(code_of(secret))
    one.expect_exact("[users-file]")
    assert path.read_text() == good + "this is no line of it\n"
    wait_for(lambda: re.search(r"users\.oath.*line", s.log()), "the log's line")
    path.write_text(good)
    one.expect_exact("Verification code:")
    one.sendline(code_of(secret))
    one.expect_exact("lodge: you are enrolled as frank")
    one.expect(pexpect.EOF)


def test_auth_dies_in_the_middle(s):
    key, code = key_make(s, "gina"), invite(s, "gina")
    one = come(s, f"invite+{code}", key, "help")
    first = secret_of(one)[2]["secret"][0]
    s.kill("auth")
    one.sendline("123456")  # to nobody: the client proves its key again, and a new secret is shown
    secret = secret_of(one)[2]["secret"][0]
    assert secret != first
    one.sendline(code_of(secret))
    one.expect_exact("lodge: you are enrolled as gina")
    one.expect(pexpect.EOF)


def test_somebody_elses_key(s):
    """alice's own key does not become bob's."""
    code = invite(s, "bob")
    one = come(s, f"invite+{code}", s.dir / "clients/alice", "help")
    secret = secret_of(one)[2]["secret"][0]
    one.sendline(code_of(secret))
    one.expect(pexpect.EOF)
    assert "you are enrolled" not in one.before
    assert "bob" not in str(actions(s, "invite.used"))


def test_it_expires(s):
    """Last: the clock is turned.  One minute short of a day it is good, then it is not; a newer one voids it."""
    key, old = key_make(s, "hugo"), invite(s, "hugo")
    code = invite(s, "hugo", add=False)
    refused_as_a_stranger(s, f"invite+{old}", key)
    s.turn(24 * 3600 - 60)
    one = come(s, f"invite+{code}", key)
    secret_of(one)
    one.close(force=True)
    s.turn(61)
    refused_as_a_stranger(s, f"invite+{code}", key)
