"""Who is let in by which key: several per person, each from when to when, from where, with what a FIDO key shows and how
far it has counted; what each role must show beside; whom nobody tells more than a stranger may know.

Clients are OpenSSH's, with a token that counts (tests/token), and paramiko, whose proofs are not bound to a host."""

import datetime
import os
import pathlib
import re
import subprocess

import paramiko
import pytest
from site_of_lodge import BUILD, wait_for

SITE_WORDS = (
    "--set", "PenaltyLeast=0",
    "--set", "AuthenticationMethods=publickey manager=publickey,keyboard-interactive",
    "--set", "PubkeyAuthOptions=touch-required manager=verify-required",
    "--set", "HostBoundRoles=auditor",
)
TOKEN = BUILD / "token/token.so"


@pytest.fixture(scope="module")
def s(site):
    return site


class Key:
    """A key of its own file."""

    def __init__(self, s, name, *words, **env):
        self.path = s.dir / "clients" / name
        self.env = dict(os.environ, **env)  # LODGE_TOKEN: read by tests/token
        subprocess.run(
            ["ssh-keygen", "-q", "-N", "", "-C", name, "-f", self.path, *words],
            env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        )

    @property
    def line(self):
        return pathlib.Path(f"{self.path}.pub").read_text().strip()

    @property
    def print(self):
        return subprocess.run(["ssh-keygen", "-lf", f"{self.path}.pub"], capture_output=True, text=True).stdout.split()[1]


class Token(Key):
    """A FIDO key whose next counter and flags are the scene's to say."""

    def __init__(self, s, name):
        self.state = s.dir / "clients" / f"{name}.state"
        self.says(1)
        super().__init__(s, name, "-t", "ed25519-sk", "-w", TOKEN, LODGE_TOKEN=str(self.state))

    def says(self, counter, flags=0):
        self.state.write_text(f"{counter} {flags}\n")


def ssh(s, login, key, *words, options=(), code=None):
    """OpenSSH with this one key; what it says and how it ends."""
    env = dict(key.env, SSH_ASKPASS_REQUIRE="never")
    if code is not None:
        env = dict(key.env, SSH_ASKPASS=str(s.dir / "clients/askpass"), SSH_ASKPASS_REQUIRE="force")
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", "-T", "-p", str(s.port), "-o", f"UserKnownHostsFile={s.dir}/clients/known_hosts",
         "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", f"SecurityKeyProvider={TOKEN}", "-i", str(key.path), *options,
         f"{login}@127.0.0.1", *(words or ("help",))],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=40,
    )
    return done


def prove(s, login, key):
    """paramiko proves the key without asking first; (is in, what the gateway said)."""
    client = paramiko.Transport(("127.0.0.1", s.port))
    try:
        client.start_client(timeout=20)
        try:
            kind = paramiko.RSAKey if key.line.startswith("ssh-rsa") else paramiko.Ed25519Key
            client.auth_publickey(login, kind.from_private_key_file(str(key.path)))
        except paramiko.AuthenticationException:
            pass
        return client.is_authenticated(), (client.get_banner() or b"").decode()
    finally:
        client.close()


def give(s, person, line, status=0):
    done = s.lodge("person", "change", person, "--key", line)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def attempts(s, reason):
    return [e for e in s.events("otto", "login.attempt") if e["event"].get("reason") == reason]


def refused(s, done, reason):
    assert done.returncode == 255, done.stdout
    wait_for(lambda: attempts(s, reason), f"the event {reason}")


def test_several_of_every_kind(s):
    kinds = {
        "ed25519": (), "rsa": ("-b", "3072"), "ecdsa": ("-b", "521"),
    }
    for kind, more in kinds.items():
        key = Key(s, f"alice-{kind}", "-t", kind, *more)
        give(s, "alice", key.line)
        done = ssh(s, "alice", key)
        assert done.returncode == 0, done.stderr
        rows = [r for r in s.lodge("person", "show", "alice").stdout.splitlines() if key.print in r]
        assert rows and "127.0.0.1" in rows[0], rows
    weak = Key(s, "weak", "-t", "rsa", "-b", "1024")
    give(s, "alice", weak.line, status=64)
    is_in, said = prove(s, "alice", weak)
    assert not is_in
    wait_for(lambda: attempts(s, "weak-key"), "the event")


def test_not_now(s):
    """An offer of it is a plain no, as any key's; who proves it is told why."""
    old = Key(s, "old", "-t", "ed25519")
    give(s, "alice", f'expiry-time="20200101",valid-from="20190101" {old.line}')
    done = ssh(s, "alice", old)
    assert "lodge:" not in done.stderr and "Permission denied" in done.stderr
    refused(s, done, "key-expired")
    is_in, said = prove(s, "alice", old)
    assert not is_in and "[key-expired]" in said
    is_in, said = prove(s, "zoe", old)
    assert not is_in and said == ""
    future = Key(s, "future", "-t", "ed25519")
    day = datetime.date.today() + datetime.timedelta(days=400)
    give(s, "alice", f'valid-from="{day:%Y%m%d}" {future.line}')
    is_in, said = prove(s, "alice", future)
    assert not is_in and "[key-expired]" in said


def test_not_from_there(s):
    key = Key(s, "bound", "-t", "ed25519")
    give(s, "alice", f'from="192.0.2.0/24,127.0.0.2" {key.line}')
    refused(s, ssh(s, "alice", key), "key-source")
    is_in, said = prove(s, "alice", key)
    assert not is_in and "[key-source]" in said
    done = ssh(s, "alice", key, options=("-b", "127.0.0.2"))
    assert done.returncode == 0, done.stderr


def test_a_token_is_touched(s):
    token = Token(s, "touched")
    give(s, "alice", token.line)
    token.says(1, flags=4)
    refused(s, ssh(s, "alice", token), "no-touch")
    token.says(2, flags=1)
    done = ssh(s, "alice", token)
    assert done.returncode == 0, done.stderr
    give(s, "alice", f"no-touch-required {token.line}", status=64)


def test_a_token_asks_for_its_pin(s):
    token = Token(s, "verified")
    give(s, "alice", f"verify-required {token.line}")
    token.says(1, flags=1)
    done = ssh(s, "alice", token)
    assert "lodge: denied [no-verification]" in done.stderr
    refused(s, done, "no-verification")
    token.says(2, flags=5)
    done = ssh(s, "alice", token)
    assert done.returncode == 0, done.stderr


def test_a_token_counts_on(s):
    """A number that was seen says that there are two of this key, also when auth and policy were started anew."""
    token = Token(s, "counting")
    give(s, "alice", token.line)
    token.says(40)
    for _ in range(2):
        assert ssh(s, "alice", token).returncode == 0
    assert token.state.read_text().split()[0] == "42"
    for again in (False, True):
        if again:
            s.kill("auth")
            s.kill("policy")
        token.says(41)
        done = ssh(s, "alice", token)
        assert "lodge: denied [key-counter]" in done.stderr, done.stderr
        refused(s, done, "key-counter")
    token.says(42)
    assert ssh(s, "alice", token).returncode == 0


def test_bound_to_this_host(s):
    """An auditor's proof must be, here; stock OpenSSH binds its own."""
    otto = Key(s, "otto-2", "-t", "ed25519")
    give(s, "otto", otto.line)
    is_in, said = prove(s, "otto", otto)
    assert not is_in and "[not-host-bound]" in said
    assert ssh(s, "otto", otto).returncode == 0
    alice = Key(s, "alice-2", "-t", "ed25519")
    give(s, "alice", alice.line)
    is_in, said = prove(s, "alice", alice)
    assert is_in


def test_what_a_manager_shows(s):
    """A code, and a PIN when it is a token; an engineer's role wants neither here."""
    maria = Token(s, "maria-token")
    give(s, "maria", maria.line)
    maria.says(1, flags=1)
    refused(s, ssh(s, "maria", maria), "no-verification")
    maria.says(2, flags=5)
    done = ssh(s, "maria", maria)
    assert done.returncode == 255 and "Verification code:" not in done.stdout
    assert "keyboard-interactive" in done.stderr  # the method that is left
    maria.says(3, flags=5)
    done = ssh(s, "maria", maria, code=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "keyword, word, line",
    [
        ("AuthenticationMethods", "password", "'password' is neither publickey nor publickey,keyboard-interactive"),
        ("PubkeyAuthOptions", "boss=verify-required", "names no role"),
        ("HostBoundRoles", "everybody", "names no role: engineer, manager, auditor or operator"),
        ("PAMService", "../shadow", "cannot be a PAM service"),
    ],
)
def test_words_that_are_wrong(s, keyword, word, line):
    conf = s.dir / "wrong.conf"
    lines = [x for x in (s.dir / "lodge.conf").read_text().splitlines() if not x.startswith(keyword + " ")]
    conf.write_text("\n".join([*lines, f"{keyword} {word}", ""]))
    done = subprocess.run([s.dir / "lib/lodge-gateway", "-t", "-f", conf], capture_output=True, text=True)
    assert done.returncode == 78
    assert re.search(rf"^{re.escape(str(conf))}:\d+: {keyword}: .*{re.escape(line)}", done.stderr, re.M), done.stderr


def test_a_key_expires(s):
    """Last: the clock is turned."""
    key = Key(s, "soon", "-t", "ed25519")
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)
    give(s, "alice", f'expiry-time="{soon:%Y%m%d%H%M}Z" {key.line}')
    assert ssh(s, "alice", key).returncode == 0
    s.turn(2 * 3600)
    refused(s, ssh(s, "alice", key), "key-expired")
