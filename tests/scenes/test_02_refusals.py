"""Bad input gets a clear answer and loses nothing.

A wrong configuration is refused whole, before anything starts.  An engineer who is refused reads one line with the
reason and what to do, and gets the exit status that belongs to it; the manager finds the same reason in the book.
What this house does not carry is refused with its reason, and the rest of the connection goes on.
"""

import re
import shutil
import subprocess

import pytest

SITE_WORDS = ("--no-code",)


@pytest.fixture(scope="module")
def s(site):
    return site


def lines_of(done):
    """What Lodge itself said (not ssh)."""
    return [x for x in done.stderr.decode().splitlines() if x.startswith("lodge: ")]


def refused(s, login, *words, reason, status, options=("-T",)):
    done = s.ssh(login, *(words or ("true",)), options=options)
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stdout == b"", "nothing of ours on standard output"
    said = lines_of(done)
    assert len(said) == 1, said
    assert f"[{reason}]" in said[0], said
    return said[0]


def in_the_book(s, reason, who):
    found = [e for e in s.events() if e["event"].get("reason") == reason and who in str(e.get("user"))]
    assert found, f"no event of {who} with the reason {reason}"
    return found[-1]


# ---- the configuration ----


def test_a_wrong_configuration_is_told_whole(s, tmp_path):
    conf = tmp_path / "lodge.conf"
    text = (s.dir / "lodge.conf").read_text()
    conf.write_text(text + "Prot 22\nDiskLow much\nLoginGraceTime 0\nAuthenticationMethods password\n")
    first = len(text.splitlines()) + 1
    done = subprocess.run([s.dir / "lib/lodge-gateway", "-t", "-f", conf], capture_output=True, text=True)
    assert done.returncode == 78
    said = done.stderr.splitlines()
    for number, keyword in ((first, "Prot"), (first + 1, "DiskLow"), (first + 2, "LoginGraceTime")):
        assert any(x.startswith(f"{conf}:{number}: {keyword}: ") for x in said), (number, keyword, said)
    assert any("AuthenticationMethods" in x for x in said), said


def test_print_settings_parse_to_the_same(s, tmp_path):
    command = [s.dir / "lib/lodge-gateway", "-T", "-f"]
    first = subprocess.run([*command, s.dir / "lodge.conf"], capture_output=True, text=True)
    (tmp_path / "again.conf").write_text(first.stdout)
    again = subprocess.run([*command, tmp_path / "again.conf"], capture_output=True, text=True)
    assert first.returncode == again.returncode == 0
    assert first.stdout == again.stdout
    assert f"Port {s.port}" in first.stdout


def test_an_ordinary_user_is_refused_in_one_line(s):
    # the keys are root's and the daemons', so an ordinary user can at most have a configuration of their own
    for name in ("host_ed25519", "user_ca_ed25519", "log_ed25519.pem", "reading.age"):
        assert (s.dir / "etc" / name).stat().st_mode & 0o077 == 0
    done = subprocess.run(
        ["setpriv", "--reuid", "64211", "--regid", "64211", "--clear-groups"]
        + [str(s.dir / "lib/lodge-gateway"), "-f", str(s.dir / "lodge.conf")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert "root" in done.stderr


def test_single_user_is_for_development_and_says_so(s, make_site):
    """As an ordinary user, with keys of their own: it runs, and the log says loudly what is lost."""
    other = make_site("--no-code")
    other.gateway.terminate()
    other.gateway.wait(30)
    home = other.dir / "single"
    home.mkdir()
    text = (other.dir / "lodge.conf").read_text().replace(f"{other.dir}/", f"{home}/")
    (home / "lodge.conf").write_text(text)
    shutil.copytree(other.dir / "etc", home / "etc")
    for key in (home / "etc").iterdir():
        key.chmod(0o400)
    subprocess.run(["chown", "-R", "64213:64213", home], check=True)
    gateway = subprocess.Popen(
        ["setpriv", "--reuid", "64213", "--regid", "64213", "--clear-groups"]
        + [str(other.dir / "lib/lodge-gateway"), "--single-user", "-f", str(home / "lodge.conf")],
        stderr=subprocess.PIPE,
        text=True,
        env=other.env,
    )
    said = []
    for line in gateway.stderr:
        said.append(line)
        if "ready on port" in line:
            break
    gateway.terminate()
    rest = gateway.communicate(timeout=30)[1]
    assert "--single-user: every process runs as one user" in said[0], said
    assert "ready on port" in said[-1], said
    assert gateway.returncode == 0, rest


# ---- the engineer ----


def test_no_grant(s):
    said = refused(s, "alice+osv1", reason="not-waiting", status=75, options=("-T", "-o", "SetEnv=LODGE_WAIT=0"))
    assert "request osv1" in said or "request TARGET" in said


def test_unknown_target(s):
    refused(s, "alice+nowhere", reason="unknown-target", status=77)
    in_the_book(s, "unknown-target", "alice")


def test_unknown_account(s):
    refused(s, "alice+osv1+root", reason="unknown-account", status=77)
    in_the_book(s, "unknown-account", "alice")


def test_denied_with_a_reason_that_she_reads(s):
    waiting = s.begin("alice+osv1", "true")
    line = waiting.stderr.readline().decode()
    number = re.search(r"request (\d+)", line).group(1)
    s.verb("maria", "deny", number, "--why", "not during the exam weeks")
    out, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 77
    assert out == b""
    assert b"[denied]" in err and b"not during the exam weeks" in err


def test_suspended_vendor(s):
    s.lodge("vendor", "suspend", "unify")
    done = s.ssh("alice+osv1", "true")
    assert done.returncode == 255, "she does not get in at all"
    assert b"vendor-suspended" in done.stderr
    in_the_book(s, "vendor-suspended", "alice")
    s.lodge("vendor", "resume", "unify")
    assert s.ssh("alice", "help").returncode == 0


def test_expired_person(s):
    assert s.lodge("person", "change", "alice", "--until", "2020-01-01").returncode == 0
    done = s.ssh("alice+osv1", "true")
    assert done.returncode == 255
    assert b"person-expired" in done.stderr
    in_the_book(s, "person-expired", "alice")
    assert s.lodge("person", "change", "alice", "--until", "2099-01-01").returncode == 0
    assert s.ssh("alice", "help").returncode == 0


def test_nobody_approves_their_own(s):
    said = s.ssh("alice", "approve", "1")
    assert said.returncode == 77
    assert b"[role]" in said.stderr
    # a manager of the same vendor neither
    key = s.dir / "clients/victor"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    added = s.lodge("person", "add", "victor", "--vendor", "unify", "--role", "manager", "--key", public)
    assert added.returncode == 0, added.stderr
    asked = s.verb("alice", "request", "osv1", "--for", "1h", "--why", "x")
    number = re.search(r"request (\d+)", asked).group(1)
    done = s.ssh("victor", "approve", number, options=("-T", "-i", str(key)))
    assert done.returncode == 77
    assert b"[own-vendor]" in done.stderr
    s.verb("alice", "withdraw", number)


def test_a_stranger_learns_nothing(s):
    key = s.dir / "clients/stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    texts = set()
    for name in ("alice", "nobody-of-this-name"):
        done = s.ssh(name, "true", options=("-T", "-F", "/dev/null", "-i", str(key), "-p", str(s.port)) + (
            "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR"))
        assert done.returncode == 255
        texts.add(done.stderr.decode().replace(name, "NAME"))
    assert len(texts) == 1, texts


# ---- what is not carried ----


def test_other_channels_and_requests_are_refused_and_told(s):
    s.number = s.granted()
    done = s.ssh("alice+osv1", "sh -c 'echo still here; env'", options=(
        "-T", "-X", "-A", "-R", "0:127.0.0.1:22", "-o", "SetEnv=EVIL=1 LC_LODGE=passed"))
    assert done.returncode == 0, done.stderr
    assert b"still here" in done.stdout
    assert b"LC_LODGE=passed" in done.stdout and b"EVIL" not in done.stdout
    forward = s.ssh("alice+osv1", options=("-T", "-W", "127.0.0.1:22"))
    assert forward.returncode != 0
    assert b"[forward]" in forward.stderr
    refused_things = {str(e) for e in s.events(action="channel.refused")}
    for what in ("tcpip-forward", "direct-tcpip", "env"):
        assert any(what in x for x in refused_things), (what, refused_things)


# ---- the target ----


def test_another_host_key_is_not_entered(s):
    """And nothing of hers, not even a login, reaches whoever shows it."""
    key = s.dir / "clients/impostor"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    right = " ".join((s.dir / "osv1/host_ed25519.pub").read_text().split()[:2])
    wrong = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    fingerprint = {line: subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True).stdout.split()[1]
                   for line in (right, wrong)}
    pinned = s.lodge("target", "change", "osv1", "--host-key", wrong, "--remove-host-key", fingerprint[right])
    assert pinned.returncode == 0, pinned.stderr
    before = (s.dir / "osv1/sshd.log").read_text().count("Accepted")
    refused(s, "alice+osv1", reason="host-key", status=76)
    assert (s.dir / "osv1/sshd.log").read_text().count("Accepted") == before
    assert s.lodge("target", "change", "osv1", "--host-key", right, "--remove-host-key",
                   fingerprint[wrong]).returncode == 0
    assert s.ssh("alice+osv1", "echo back").stdout == b"back\n"


def test_a_target_that_does_not_answer(s):
    address = f"127.0.0.1:{s.facts['sshd_port']}"
    assert s.lodge("target", "change", "osv1", "--address", "127.0.0.1:1").returncode == 0
    refused(s, "alice+osv1", reason="unreachable", status=69)
    assert s.lodge("target", "change", "osv1", "--address", address).returncode == 0
    assert s.ssh("alice+osv1", "echo back").stdout == b"back\n"


def test_a_target_that_does_not_trust_our_ca(s):
    ca = s.dir / "osv1/lodge_ca.pub"
    kept = ca.read_text()
    ca.write_text("")
    refused(s, "alice+osv1", reason="target-login", status=69)
    ca.write_text(kept)
    assert s.ssh("alice+osv1", "echo back").stdout == b"back\n"


# ---- last, for it turns the clock, and the target's sshd does not follow ----


def test_nobody_answers(s):
    s.verb("maria", "revoke", str(s.number))
    waiting = s.begin("alice+osv1", "true")
    assert b"asked of maria" in waiting.stderr.readline()
    s.turn(1801)
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (75, b"")
    assert b"[lapsed]" in err
