"""Secrets for targets: who may set them and how, that they let engineers in, that a lost or a new vault key costs nothing;
and that they are nowhere but in auth: not in any other process's memory, not in recordings, logs, database, arguments or
environments.

The search looks at all memory that a process of the house has of its own, as root, in the sanitized build, which keeps freed memory
for a while: what was not wiped is found.  It finds what it should find.
"""

import base64
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess

import pexpect
import pytest
import recording
from conftest import kept
from site_of_lodge import DAEMONS, PATIENCE, Site, wait_for

PASSWORD = "Pw-" + secrets.token_hex(12)  # random: found nowhere by chance
LEGACY = ("--legacy-until", "2027-06-30", "--legacy-why", "a scene")
HUGE = 1 << 30  # a mapping that nobody has filled: a sanitizer's own tables


def target_open(s):
    """osv1's sshd takes keys and passwords besides certificates; the account gets a password."""
    config = s.dir / "osv1/sshd_config"
    text = config.read_text().replace("PasswordAuthentication no", "PasswordAuthentication yes")
    keys = f"StrictModes no\nAuthorizedKeysFile {s.dir}/osv1/authorized_keys"  # below /tmp, where anybody may write
    config.write_text(text.replace("AuthorizedKeysFile none", keys))
    (s.dir / "osv1/authorized_keys").write_text("")
    password_on_target(s, PASSWORD)


def password_on_target(s, password):
    subprocess.run(["chpasswd"], input=f"{s.account}:{password}\n", text=True, check=True)


@pytest.fixture(scope="module")
def s(request):
    for site in kept(request, Site("--no-code", before=target_open)):
        said = site.lodge("target", "add", "byp", *target_words(site), "--login", "password", *LEGACY)
        assert said.returncode == 0, said.stderr
        said = site.lodge("target", "add", "byk", *target_words(site), "--login", "key")
        assert said.returncode == 0, said.stderr
        yield site


def target_words(s):
    key = " ".join((s.dir / "osv1/host_ed25519.pub").read_text().split()[:2])
    return ("--address", f"127.0.0.1:{s.facts['sshd_port']}", "--account", s.account, "--host-key", key)


def secret(s, *words, status=0, **how):
    done = s.lodge("secret", *words, **how)
    assert done.returncode == status, f"secret {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def listed(s, target):
    rows = [r for r in json.loads(secret(s, "list", "--json")) if r["target"] == target]
    return rows[0] if rows else None


def granted(s, target):
    said = s.verb("alice", "request", target, "--for", "2h", "--why", "a scene")
    s.approve(re.search(r"request (\d+)", said).group(1))


# ---- who may, and how ----


def test_who_may(s):
    about = f"byp+{s.account}"
    assert "[role]" in secret(s, "list", status=77, uid=64211)  # maria, a manager
    assert "[role]" in secret(s, "set", about, status=77, uid=64211, stdin="hers")
    assert "[unknown-person]" in secret(s, "list", status=77, uid=64299)
    assert "unknown-target" in secret(s, "set", "nowhere+x", status=77, stdin="x")
    assert "unknown-account" in secret(s, "set", "byp+nobody", status=77, stdin="x")
    for door in ("ssh", "control"):
        if door == "ssh":
            done = s.ssh("maria", "secret", "list")
            assert done.returncode == 77, done
    assert listed(s, "byp") is None
    seen = [e for e in s.events(action="verb.refused")]
    assert seen, "a refused verb is no event"


def test_never_among_the_words(s):
    said = secret(s, "set", f"byp+{s.account}", "hunter2", status=64)
    assert "history" in said and "hunter2" not in said
    assert listed(s, "byp") is None


def test_bad_secrets(s):
    about = f"byp+{s.account}"
    for what in ("", "\n", "two\nlines\n", "x" * 1025, "tab\there"):
        secret(s, "set", about, status=64, stdin=what)
    assert "passphrase" in secret(s, "set", f"byk+{s.account}", "--key", status=64, stdin=key_text(s, "with", "secret")[0])
    assert "too long" in secret(s, "set", f"byk+{s.account}", "--key", status=64, stdin="x" * 20000)
    assert listed(s, "byp") is None and listed(s, "byk") is None


def key_text(s, name, passphrase="", kind="ed25519"):
    path = s.dir / f"key-{name}"
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", path], check=True)
    private, public = path.read_text(), path.with_suffix(".pub").read_text()
    path.unlink()
    path.with_suffix(".pub").unlink()
    return private, public


def test_typed_on_a_terminal(s):
    def typed(first, again):
        one = pexpect.spawn(
            str(s.dir / "lib/lodge"), ["-s", s.control, "secret", "set", f"byp+{s.account}"], timeout=PATIENCE, encoding="utf-8"
        )
        one.expect_exact("Password for")
        one.waitnoecho()
        one.sendline(first)
        one.expect_exact("Again")
        one.waitnoecho()
        one.sendline(again)
        one.expect(pexpect.EOF)
        one.close()
        assert first not in one.before
        return one.exitstatus, one.before

    status, said = typed("one thing", "another")
    assert status == 64 and "not the same" in said
    status, said = typed("first try", "first try")
    assert status == 0, said
    assert listed(s, "byp")["kind"] == "password"
    # Ctrl-C in the middle: nothing changed, and the terminal as it was.
    one = pexpect.spawn("bash", ["--norc"], timeout=PATIENCE, encoding="utf-8")
    one.sendline(f"PS1=; {s.dir}/lib/lodge -s {s.control} secret set byp+{s.account}")
    one.expect_exact("Password for")
    one.waitnoecho()
    one.sendintr()
    one.sendline("stty -a | tr -s ' ;' '\\n' | grep -x echo && echo IS ON")
    one.expect_exact("IS ON\r\n")
    one.close(force=True)


# ---- they let engineers in ----


def test_visits(s):
    secret(s, "set", f"byp+{s.account}", stdin=PASSWORD + "\n")
    private, public = key_text(s, "vaulted")
    s.vaulted = private
    (s.dir / "osv1/authorized_keys").write_text(public)
    assert "SHA256:" in secret(s, "set", f"byk+{s.account}", "--key", stdin=private)
    for target in ("byp", "byk"):
        granted(s, target)
        done = s.ssh(f"alice+{target}", "whoami")
        assert done.returncode == 0 and done.stdout.decode().strip() == s.account, done.stderr.decode()
        assert re.match(r"20\d\d-", listed(s, target)["used"])
    given = [e for e in s.events(action="credential") if e["event"]["outcome"] == "success"]
    assert len(given) >= 2, given
    assert PASSWORD not in json.dumps(s.events())


def test_a_wrong_secret(s):
    _, public = key_text(s, "another")
    (s.dir / "osv1/authorized_keys").write_text(public)
    done = s.ssh("alice+byk", "whoami")
    assert done.returncode == 69 and b"target-login" in done.stderr, done
    secret(s, "remove", f"byk+{s.account}")
    done = s.ssh("alice+byk", "whoami")
    assert done.returncode == 69 and b"vault" in done.stderr, done
    said = secret(s, "generate", f"byk+{s.account}")
    (s.dir / "osv1/authorized_keys").write_text(said.splitlines()[-1] + "\n")
    done = s.ssh("alice+byk", "whoami")
    assert done.returncode == 0, done.stderr.decode()


# ---- they are nowhere else ----


def seed_of(private):
    """The 32 bytes of an ed25519 key's secret half, out of OpenSSH's format."""
    raw = base64.b64decode("".join(line for line in private.splitlines() if "-" not in line))
    at = raw.rindex(b"\0\0\0\x0bssh-ed25519")  # in the private section
    return raw[at + 15 + 36 + 4 :][:32]


def memory_of(pid):
    """All memory of a process that it can have written to, region by region."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            bounds, flags, _, _, inode = line.split()[:5]
            begin, end = (int(x, 16) for x in bounds.split("-"))
            of_file = inode != "0" and flags[1] != "w"  # a library as it lies on the disk
            if flags[0] != "r" or of_file or end - begin > HUGE or "[vvar]" in line or "[vsyscall]" in line:
                continue
            try:
                memory.seek(begin)
                yield line, memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue


def found_in(pid, planted):
    """Names of what a process's memory, arguments and environment hold; nothing of one that has gone meanwhile."""
    try:
        return found_in_one(pid, planted)
    except (FileNotFoundError, ProcessLookupError):
        assert not os.path.exists(f"/proc/{pid}")
        return {}


def found_in_one(pid, planted):
    found, seen = {}, 0
    for where, text in memory_of(pid):
        seen += len(text)
        for name, needles in planted.items():
            if any(n in text for n in needles):
                found[name] = where
    assert seen > 1 << 17, f"{seen} bytes are not the memory of a process"
    for part in ("cmdline", "environ"):
        text = pathlib.Path(f"/proc/{pid}/{part}").read_bytes()
        found.update({name: part for name, needles in planted.items() if any(n in text for n in needles)})
    return found


def house(s):
    return {s.gateway.pid: "lodge-gateway", **s.children()}


def planted(s):
    vault_key = (s.dir / "etc/vault.key").read_text().strip()
    totp = (s.dir / "clients/alice.hex").read_text().strip()
    base32 = (s.dir / "clients/alice.base32").read_text().strip()
    seed = seed_of(s.vaulted)
    body = "".join(line for line in s.vaulted.splitlines() if "-" not in line)
    return {
        "password": [PASSWORD.encode()],
        "private key": [seed, body[160:220].encode()],
        "code secret": [bytes.fromhex(totp), totp.encode(), totp.upper().encode(), base32.encode()],
        "vault key": [bytes.fromhex(vault_key), vault_key.encode()],
    }


def test_nobody_but_auth_holds_them(s):
    """While visits by password and by key are open, and after they ended; a code was typed for each login."""
    private, public = key_text(s, "planted")
    s.vaulted = private
    (s.dir / "osv1/authorized_keys").write_text(public)
    secret(s, "set", f"byk+{s.account}", "--key", stdin=private)
    secret(s, "set", f"byp+{s.account}", stdin=PASSWORD + "\n")
    shells = []
    for target in ("byp", "byk"):
        one = s.begin(f"alice+{target}", "echo inside; cat")
        assert one.stdout.readline() == b"inside\n", one.stderr.read()
        shells.append(one)
    needles = planted(s)
    for when in ("in", "out"):
        held = {name: found_in(pid, needles) for pid, name in house(s).items()}
        assert len(held) >= 8, held
        auth = held.pop("lodge-auth")
        assert "vault key" in auth, "the search does not find what is there"
        assert set(auth) == {"vault key"}, auth
        if when == "in":  # both visits were searched, and their heaps were read
            control = {"account": [s.account.encode() + b"\0"]}
            assert sum(bool(found_in(pid, control)) for pid in s.sessions()) >= len(shells)
        assert not any(held.values()), f"{when}: {held}"
        if when == "in":
            for one in shells:
                one.stdin.close()
                assert one.wait(PATIENCE) == 0


def test_the_search_finds(s):
    """A process that keeps what it read: in its memory, among its words, in its environment."""
    needles = {"password": [PASSWORD.encode()]}
    keeps = ["python3", "-c", "import sys; kept = sys.stdin.readline(); print('ready', flush=True); sys.stdin.read()"]
    for words, env, where in ((keeps, {}, "-"), ([*keeps, PASSWORD], {}, ""), (keeps, {"X": PASSWORD}, "")):
        text = "nothing" if where == "" else PASSWORD
        one = subprocess.Popen(
            words, env=dict(os.environ, **env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        one.stdin.write(text + "\n")
        one.stdin.flush()
        one.stdout.readline()
        assert found_in(one.pid, needles), words
        one.stdin.close()
        one.wait()
        one.stdout.close()


def test_nothing_on_the_disk(s):
    """Logs, database, shelf, vault, and what the recordings hold when they are opened."""
    needles = planted(s)
    needles.pop("vault key")  # its file is there, for root
    wait_for(lambda: not s.sessions(), "the end of the visits")
    rows = s.sealed(2)
    own = {s.dir / "etc", s.dir / "clients", s.dir / "pam", s.dir / "lib"}
    seen = 0
    for path in s.dir.rglob("*"):
        if any(p in path.parents for p in own) or not path.is_file() or path.is_symlink():
            continue
        text = path.read_bytes()
        seen += 1
        for name, several in needles.items():
            assert not any(n in text for n in several), f"{name} lies in {path}"
    assert seen > 10
    for row in rows:
        r = recording.open(s, row)
        said = json.dumps(r.meta) + json.dumps(r.facts(), default=str)
        for channel in r.channels:
            said += "".join(r.bytes(channel, what).decode("latin-1") for what in ("in", "out", "err"))
        assert PASSWORD not in said
    assert "password" in json.dumps([recording.open(s, r).facts() + [recording.open(s, r).meta] for r in rows], default=str)


def test_no_core(s):
    for pid, name in house(s).items():
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        if name != "lodge-gateway":
            assert re.search(r"^Max core file size +0 ", limits, re.M), name
        user = pathlib.Path(f"/proc/{pid}/status").read_text()
        uid = int(re.search(r"^Uid:\s+(\d+)", user, re.M).group(1))
        if uid != 0:  # not dumpable: its files below /proc belong to root
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{name} can be dumped"


def test_enrol_on_the_box(s):
    before = (s.dir / "pam/users.oath").read_text()
    said = s.lodge("person", "enrol", "alice", "--json")
    assert said.returncode == 0, said.stderr
    url = json.loads(said.stdout)["url"]
    base32 = re.search(r"secret=([A-Z2-7]+)", url).group(1)
    raw = base64.b32decode(base32 + "=" * (-len(base32) % 8))
    line = [x for x in (s.dir / "pam/users.oath").read_text().splitlines() if x.split()[1] == "alice"]
    assert len(line) == 1 and line[0].split()[3].lower() == raw.hex()
    assert s.lodge("person", "enrol", "nobody").returncode == 77
    kept_lines = [x for x in before.splitlines() if x.split()[1] != "alice"]
    assert [x for x in (s.dir / "pam/users.oath").read_text().splitlines() if x.split()[1] != "alice"] == kept_lines
    # libqrencode frees its copy of the URL without wiping it: auth may have that a while longer, nobody else.
    for pid, name in house(s).items():
        needles = [raw, raw.hex().encode()] + ([] if name == "lodge-auth" else [base32.encode()])
        assert not found_in(pid, {"code secret": needles}), name
    assert base32 not in s.log()


# ---- the vault's key ----


def auth_again(s):
    s.kill("auth")
    wait_for(lambda: s.lodge("secret", "list").returncode == 0, "auth's door")


def test_a_restart(s):
    before = listed(s, "byp")
    auth_again(s)
    assert listed(s, "byp") == before
    assert s.ssh("alice+byp", "true").returncode == 0


def test_a_damaged_record(s):
    about = f"byp+{s.account}"
    path = s.dir / "state/auth/vault" / about
    whole = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.owner() == "lodge-auth"
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert listed(s, "byp")["state"] == "damaged"
    assert "damaged" in secret(s, "set", about, status=69, stdin="new")
    assert path.read_bytes() == whole[:-1] + bytes([whole[-1] ^ 1])
    done = s.ssh("alice+byp", "true")
    assert done.returncode == 69 and b"vault" in done.stderr
    auth_again(s)
    assert f"{about}: its file is damaged" in s.log()
    path.write_bytes(whole)
    assert s.ssh("alice+byp", "true").returncode == 0


def test_a_lost_key(s):
    """Nothing is overwritten, it is said, and certificates go on."""
    key = s.dir / "etc/vault.key"
    text = key.read_text()
    vault = {p.name: p.read_bytes() for p in (s.dir / "state/auth/vault").iterdir()}
    key.unlink()
    auth_again(s)
    assert listed(s, "byp")["state"] == "no-key"
    assert "there is no key to it" in s.log()
    secret(s, "set", f"byp+{s.account}", status=69, stdin="new")
    granted(s, "osv1")
    assert s.ssh("alice+osv1", "true").returncode == 0
    done = s.ssh("alice+byp", "true")
    assert done.returncode == 69 and b"vault" in done.stderr
    key.write_text("f" * 64 + "\n")
    key.chmod(0o400)
    auth_again(s)
    assert listed(s, "byp")["state"] == "other-key"
    said = secret(s, "list")
    assert "it lies under another key" in said and listed(s, "byp")["vault_key"] in said
    assert "nothing is written until the right key is back" in s.log()
    secret(s, "set", f"byp+{s.account}", status=69, stdin="new")
    secret(s, "generate", f"osv1+{s.account}", status=69)
    assert {p.name: p.read_bytes() for p in (s.dir / "state/auth/vault").iterdir()} == vault
    key.unlink()
    key.write_text(text)
    key.chmod(0o400)
    auth_again(s)
    assert s.ssh("alice+byp", "true").returncode == 0


def reloaded(s):
    """SIGHUP: waits until each daemon is a new one, so that no visit of ours falls between two."""
    before = {name: s.pid(name) for name in DAEMONS}
    s.gateway.send_signal(signal.SIGHUP)
    for name, pid in before.items():
        wait_for(lambda: s.pid(name) != pid, f"a new lodge-{name}")
    wait_for(lambda: s.lodge("secret", "list").returncode == 0, "auth's door")


def test_a_new_key(s):
    """VaultKeyOld, a reload: everything lies under the new key, the old one can go."""
    key, old = s.dir / "etc/vault.key", s.dir / "etc/vault.old"
    conf = s.dir / "lodge.conf"
    before = listed(s, "byp")["vault_key"]
    key.rename(old)
    key.write_text(secrets.token_hex(32) + "\n")
    key.chmod(0o400)
    text = conf.read_text()
    conf.write_text(text + f"VaultKeyOld {old}\n")
    torn = s.dir / "state/auth/vault/byp+torn"  # what it was lies in a backup, under the old key
    torn.write_text("torn")
    shutil.chown(torn, "lodge-auth")
    reloaded(s)
    wait_for(lambda: "secrets were moved to vault key" in s.log(), "the move")
    assert listed(s, "byp")["vault_key"] != before and listed(s, "byp")["state"] == "open"
    assert "the secret for byp+torn" in s.log() and "VaultKeyOld any more" not in s.log()
    torn.unlink()
    auth_again(s)
    wait_for(lambda: "VaultKeyOld any more" in s.log(), "what can be taken out")
    assert s.ssh("alice+byp", "true").returncode == 0
    conf.write_text(text)
    old.unlink()
    reloaded(s)
    assert listed(s, "byp")["state"] == "open"
    assert s.ssh("alice+byp", "true").returncode == 0


@pytest.mark.parametrize(
    "text, mode, said",
    (("0" * 64, 0o400, None), ("0" * 63, 0o400, "64 hexadecimal digits"), ("0" * 64, 0o440, "may be read by others")),
)
def test_the_configuration_is_checked(s, text, mode, said):
    path = s.dir / "other.key"
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)
    conf = s.dir / "other.conf"
    lines = [x for x in (s.dir / "lodge.conf").read_text().splitlines() if not x.startswith("VaultKey")]
    conf.write_text("\n".join([*lines, f"VaultKey {path}", ""]))
    done = subprocess.run([s.dir / "lib/lodge-gateway", "-t", "-f", conf], capture_output=True, text=True)
    assert done.returncode == (0 if said is None else 78), done.stderr
    if said is not None:
        assert said in done.stderr and f"{conf}:{len(lines) + 1}: VaultKey:" in done.stderr
    assert text not in done.stderr
    path.unlink()
