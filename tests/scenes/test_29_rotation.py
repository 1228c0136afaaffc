"""A password is changed after the visit, over the recorded connection, by the target's own passwd; whatever that does, and
whoever dies in the middle, the next login works, the engineer waits for nothing, and nobody reads a password.
"""

import os
import signal

import pytest
import recording
from other_targets import PASSWORD, STRONG, WHY, lent
from site_of_lodge import wait_for


@pytest.fixture(scope="module")
def house(request):
    yield from lent(request)


# In the place of passwd: asks as it does, then does what the scene wants.
PASSWD = """#!/usr/bin/python3
import os, sys, time
import pexpect

def ask(text):
    sys.stdout.write(text)
    sys.stdout.flush()
    word = sys.stdin.readline().rstrip("\\n")
    print()
    return word

how = open(os.path.expanduser("~/how")).read()
if how == "hangs":
    time.sleep(1000)
old, new, again = ask("Current password: "), ask("New password: "), ask("Retype new password: ")
if how.startswith("changes"):
    real = pexpect.spawn("/usr/bin/passwd", encoding="utf-8")
    for text, word in (("Current password:", old), ("New password:", new), ("Retype new password:", again)):
        real.expect(text)
        real.sendline(word)
    real.expect("updated successfully")
if how == "changes and says no":
    print("passwd: Authentication token manipulation error")
    sys.exit(10)
print("I do nothing any more with " + new)
open(os.path.expanduser("~/hung"), "w").close()
time.sleep(1000)
"""


# What this machine demands of passwords is its own affair: this server sees a stack of Debian's own.
APART = """
printf 'password required pam_unix.so obscure yescrypt\\n' >"$0/passwd"
printf '%s required pam_unix.so\\n' auth account password session >"$0/sshd"
for one in passwd sshd; do mount --bind "$0/$one" "/etc/pam.d/$one" || exit 1; done
exec "$@"
"""


@pytest.fixture(scope="module")
def h(house):
    """A target whose account's password is to be changed; passwd is the real one unless a scene puts another before it."""
    h = house
    passwd = h.home / "bin/passwd"
    where = h.sshd("rot", "UsePAM yes", f"SetEnv PATH={h.home}/bin:/usr/bin:/bin", *PASSWORD,
                   before=("unshare", "-m", "sh", "-c", APART, h.site.dir / "rot"))
    h.add("rot", where, "password", *WHY)
    h.secret("rot", STRONG)
    h.own()
    yield h
    passwd.unlink(missing_ok=True)
    h.stop("rot")


def plays(h, how):
    """passwd does that; None: the real one."""
    for name in ("hung", "bin/passwd"):
        (h.home / name).unlink(missing_ok=True)
    if how is not None:
        (h.home / "how").write_text(how)
        (h.home / "bin/passwd").write_text(PASSWD)
        (h.home / "bin/passwd").chmod(0o755)
    h.own()


def shadow(h):
    """What the machine itself knows of the password."""
    return next(line for line in open("/etc/shadow") if line.startswith(h.user + ":")).split(":")[1]


def rotates(h, outcome, during=lambda: None, *more):
    """A visit after which the password is to be changed; its recording."""
    before = shadow(h)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    h.enters("rot")
    during()
    kept = h.recorded("rot")
    states = [f["state"] for f in kept.facts("rotation") if "state" in f]
    assert states == ["wanted", "begun", outcome], kept.facts("rotation")
    assert (shadow(h) != before) == (outcome == "changed" or "changed" in more)
    return kept


def nothing_secret(kept, *passwords):
    text = str(kept.facts()) + "".join(
        kept.bytes(c, stream).decode(errors="replace") for c in kept.channels for stream in recording.STREAMS)
    for one in passwords:
        assert one not in text
    assert not any(kept.bytes(c, "in") for c in kept.channels[1:])


def test_a_password_is_changed_after_the_visit(h):
    plays(h, None)
    kept = rotates(h, "changed")
    channel = kept.channels[-1]
    assert [f["command"] for f in kept.facts("exec")][-1] == "passwd"
    assert b"updated successfully" in kept.bytes(channel, "out") and kept.bytes(channel, "in") == b""
    assert [(f["typed"], f["bytes"] > 10) for f in kept.facts("rotation") if "typed" in f] == [
        ("current", True), ("new", True), ("new again", True)]
    nothing_secret(kept, STRONG)
    h.enters("rot")  # with the new one; and it is changed once
    assert not h.recorded("rot").facts("rotation")
    h.visit("rot", "true")


def test_the_engineer_waits_for_nothing(h):
    """While passwd hangs her ssh has long ended; after half a minute it is given up, and both passwords are tried."""
    plays(h, "hangs")
    began = len(h.site.sessions())
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    h.enters("rot")
    wait_for(lambda: h.processes("bin/passwd"), "passwd")
    assert len(h.site.sessions()) == began + 1
    h.site.turn(31, wall=False)
    kept = h.recorded("rot")
    assert [f["state"] for f in kept.facts("rotation")] == ["wanted", "begun", "refused"]
    plays(h, None)
    wait_for(lambda: len(h.site.sessions()) == began, "the end of the session")
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")


def hung(h):
    wait_for((h.home / "hung").exists, "passwd that hangs")


def test_one_that_hangs_behind_the_questions(h):
    plays(h, "asks and hangs")
    kept = rotates(h, "unknown", lambda: (hung(h), h.site.turn(31, wall=False)))
    assert b"I do nothing any more with *****" in kept.bytes(kept.channels[-1], "out")  # whoever speaks it, nobody reads it
    plays(h, None)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")  # the old one


def test_one_that_is_killed_when_it_was_changed(h):
    """The session dies in the middle: auth keeps both, and the new one is tried second."""
    plays(h, "changes and hangs")
    before = shadow(h)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    lasting = set(h.site.sessions())
    h.enters("rot")
    hung(h)
    (session,) = set(h.site.sessions()) - lasting
    os.kill(session, signal.SIGKILL)
    wait_for(lambda: session not in h.site.sessions(), "its end")
    assert shadow(h) != before
    plays(h, None)
    h.kill("bin/passwd")
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")
    h.enters("rot")


def test_the_old_one_is_wrong_by_then(h):
    """Somebody changed it on the target during the visit: passwd refuses, and the vault keeps what it had."""
    plays(h, None)
    h.password(STRONG)
    h.secret("rot", STRONG)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    visit = h.site.begin("alice+rot", "read x")
    wait_for(lambda: h.processes("read x"), "the command")
    h.password("Xq7-another9Zw")
    visit.communicate(b"\n", timeout=20)
    kept = h.recorded("rot")
    facts = kept.facts("rotation")
    assert facts[-1]["state"] == "refused" and facts[-1]["said"], facts
    h.refused("rot", "target-login")
    h.password(STRONG)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")


def test_one_that_changes_it_and_says_no(h):
    """As a stack of two modules does whose second one fails: its no is no proof, and the new one is tried second."""
    plays(h, "changes and says no")
    rotates(h, "refused", lambda: None, "changed")
    plays(h, None)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")
    h.enters("rot")


@pytest.mark.parametrize("how", ("asks and hangs", "changes and hangs"))
def test_auth_dies_in_the_middle(h, how):
    """What it kept before a byte was typed is there again, and so is what was changed or not."""
    plays(h, how)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    h.enters("rot")
    hung(h)
    h.site.kill("auth")
    h.site.turn(31, wall=False)
    assert [f["state"] for f in h.recorded("rot").facts("rotation") if "state" in f][-1] == "unknown"
    plays(h, None)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")


def test_a_manager_ends_it_in_the_middle(h):
    """An order is obeyed at once, whatever passwd does."""
    plays(h, "asks and hangs")
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "once")
    h.enters("rot")
    hung(h)
    h.site.verb("maria", "end", "--target", "rot")
    kept = h.recorded("rot")
    assert [f["state"] for f in kept.facts("rotation") if "state" in f][-1] == "unknown"
    assert kept.facts("end")[-1]["code"] == "ended"
    plays(h, None)
    h.lodge("secret", "rotate", f"rot+{h.user}", "--when", "never")
    h.enters("rot")
