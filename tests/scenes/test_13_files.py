"""Files: sftp, scp both ways and rsync pass as on a direct connection; the recording keeps a ledger of what was carried;
what the grant does not cover is refused operation by operation, and the session goes on; a shell in a transfer's clothes
is recorded, and judged, as what it is."""

import hashlib
import os
import re
import subprocess

import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code",)
SFTP_SERVER = "/usr/lib/openssh/sftp-server"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    (site.dir / "work").mkdir()
    return site


@pytest.fixture(scope="module")
def home(s):
    return s.dir / "osv1/home"


def run(s, *words, stdin=b"", status=0):
    done = subprocess.run(
        list(map(str, words)), input=stdin, capture_output=True, env=s.askpass(), timeout=120, cwd=s.dir / "work"
    )
    assert status is None or done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done


def sftp(s, *commands, login="alice+osv1", status=0):
    batch = "".join(f"{c}\n" for c in commands).encode()
    return run(s, "sftp", "-F", s.dir / "ssh_config", "-b", "-", f"{login}@127.0.0.1", stdin=batch, status=status)


def scp(s, *words, old=False, status=0):
    mode = ["-O"] if old else ["-s"]
    return run(s, "scp", *mode, "-F", s.dir / "ssh_config", *words, status=status)


def ledger(s, since=0):
    """The facts of the newest recordings."""
    rows = s.sealed(1)
    found = []
    for row in rows[since:]:
        found += s.json("otto", "files", str(row["number"]))
    return found


def carried(s, path):
    """What the ledger of all recordings says of a path."""
    wait_for(lambda: not s.sessions(), "the end of her sessions")
    s.sealed(1)
    return [f["file"] for f in ledger(s) if "file" in f and path in (f["file"]["path"], f["file"].get("name"))]


# ---- ways of carrying ----


def test_sftp_both_ways(s, home):
    data = os.urandom(3_000_000)
    (s.dir / "work/up").write_bytes(data)
    sftp(s, "put up up.there", "get up.there down", "rename up.there moved", "mkdir d", "ls -l", "rm moved", "rmdir d")
    assert (s.dir / "work/down").read_bytes() == data
    (up,) = [f for f in carried(s, f"{home}/up.there") if f["op"] == "upload"]
    (down,) = [f for f in carried(s, f"{home}/up.there") if f["op"] == "download"]
    for one in (up, down):
        assert (one["bytes"], one["sha256"], one["result"]) == (len(data), digest(data), "ok")
    operations = [f["operation"] for f in ledger(s) if "operation" in f]
    assert {"rename", "mkdir", "remove", "rmdir"} <= {o["op"] for o in operations if o["result"] == "ok"}


@pytest.mark.parametrize("old", [False, True], ids=["sftp", "rcp"])
def test_scp_both_ways(s, home, old):
    data = os.urandom(2_000_000)
    name = f"scp-{old}"
    (s.dir / "work" / name).write_bytes(data)
    scp(s, name, f"alice+osv1@127.0.0.1:{name}.there", old=old)
    assert (home / f"{name}.there").read_bytes() == data
    scp(s, f"alice+osv1@127.0.0.1:{name}.there", f"{name}.back", old=old)
    assert (s.dir / "work" / f"{name}.back").read_bytes() == data
    wait_for(lambda: not s.sessions(), "the end of her sessions")
    found = [f["file"] for f in ledger(s) if "file" in f and f["file"]["path"].endswith(f"{name}.there")]
    assert {f["op"] for f in found} == {"upload", "download"}
    assert {f["sha256"] for f in found} == {digest(data)}


def test_a_tree_by_scp(s, home):
    tree = s.dir / "work/tree/a/b"
    tree.mkdir(parents=True)
    (tree / "one file").write_bytes(b"1" * 1000)
    (tree.parent / "two").write_bytes(b"")
    scp(s, "-r", "-p", "tree", "alice+osv1@127.0.0.1:", old=True)
    assert (home / "tree/a/b/one file").read_bytes() == b"1" * 1000
    wait_for(lambda: not s.sessions(), "the end of her sessions")
    names = {f["file"].get("name", f["file"]["path"]) for f in ledger(s) if "file" in f}
    assert any(n.endswith("tree/a/b/one file") for n in names), names


def test_rsync(s, home):
    tree = s.dir / "work/rs"
    tree.mkdir()
    for n in range(5):
        (tree / f"f{n}").write_bytes(os.urandom(50_000))
    ssh = f"ssh -F {s.dir}/ssh_config"
    run(s, "rsync", "-a", "-e", ssh, "rs/", "alice+osv1@127.0.0.1:rs/")
    assert {p.name: p.read_bytes() for p in (home / "rs").iterdir()} == {p.name: p.read_bytes() for p in tree.iterdir()}
    run(s, "rsync", "-a", "-e", ssh, "alice+osv1@127.0.0.1:rs/", "rs2/")
    assert len(list((s.dir / "work/rs2").iterdir())) == 5


def test_the_receipt_counts_them(s):
    """On a terminal, at the end."""
    path = s.dir / "mux"
    options = ("-o", f"ControlPath={path}")
    master = s.begin("alice+osv1", options=("-MNT", *options))
    wait_for(path.exists, "the master's socket")
    (s.dir / "work/small").write_bytes(b"x" * 1500)
    run(s, "scp", "-s", "-F", s.dir / "ssh_config", *options, "small", "alice+osv1@127.0.0.1:small")
    one = s.terminal("alice+osv1", options=options)
    one.expect_exact(f"{s.account}@osv1:")
    one.sendline("exit")
    one.expect(r"files: 1 up \(1500 bytes\)")
    master.terminate()
    master.communicate()


# ---- what the grant does not cover ----


@pytest.fixture
def only(s):
    """only("upload"): a grant without some capabilities, in place of the one there is."""

    def change(without):
        for row in s.json("maria", "requests"):
            if row["state"] in ("open", "scheduled"):
                s.verb("maria", "revoke", str(row["request"]))
        said = s.verb("alice", "request", "osv1", "--for", "2h", "--why", "a scene")
        number = re.search(r"request (\d+)", said).group(1)
        s.approve(number, "--for", "2h", *(("--without", without) if without else ()))

    yield change
    change("")


def test_no_upload(s, home, only):
    only("upload")
    (home / "to-read").write_bytes(b"read me")
    (s.dir / "work/evil").write_bytes(b"evil")
    done = sftp(s, "-put evil evil.there", "-rm to-read", "get to-read", "ls")
    assert b"ermission denied" in done.stdout + done.stderr
    assert not (home / "evil.there").exists() and (home / "to-read").exists()
    assert (s.dir / "work/to-read").read_bytes() == b"read me"
    refused = [f["refused"] for f in ledger(s) if "refused" in f]
    assert any(r["path"].endswith("evil.there") for r in refused)
    for old in (False, True):
        assert scp(s, "evil", "alice+osv1@127.0.0.1:evil.there", old=old, status=None).returncode != 0
    done = scp(s, "evil", "alice+osv1@127.0.0.1:evil.there", old=True, status=None)
    assert b"[capability]" in done.stderr and b"upload" in done.stderr
    assert not (home / "evil.there").exists()


def test_no_download(s, home, only):
    only("download")
    (home / "secret").write_bytes(b"secret")
    (s.dir / "work/give").write_bytes(b"given")
    sftp(s, "put give given", "-get secret")
    assert (home / "given").read_bytes() == b"given" and not (s.dir / "work/secret").exists()
    for old in (False, True):
        assert scp(s, "alice+osv1@127.0.0.1:secret", ".", old=old, status=None).returncode != 0
    assert not (s.dir / "work/secret").exists()


def test_neither(s, only):
    only("upload,download")
    done = sftp(s, "ls", status=None)
    assert done.returncode != 0 and b"[capability]" in done.stderr
    assert s.ssh("alice+osv1", "echo still").stdout == b"still\n"


def test_a_shell_in_a_transfers_clothes(s, home, only):
    """What is more than scp's end is a command, and needs what commands need."""
    only("exec,shell")
    for command in (
        "scp -t /tmp/x; id",
        "scp -t $(id)",
        "scp -t `id`",
        "scp -t /tmp/x && id",
        "scp -t /tmp/x\nid",
        "/tmp/scp -t x",
        "scp -S /bin/sh -t x",
        f"{SFTP_SERVER}; id",
        "rsync --server -e 'sh -c id' . x",
    ):
        done = s.ssh("alice+osv1", command)
        assert done.returncode == 77 and b"exec" in done.stderr, (command, done)
        assert b"uid=" not in done.stdout
    (s.dir / "work/plain").write_bytes(b"plain")
    scp(s, "plain", "alice+osv1@127.0.0.1:plain.there", old=True)
    assert (home / "plain.there").read_bytes() == b"plain"


# ---- odd clients ----


def packet(kind, number, *fields):
    body = bytes([kind]) + number.to_bytes(4, "big") + b"".join(fields)
    return len(body).to_bytes(4, "big") + body


def text(data):
    return len(data).to_bytes(4, "big") + data


INIT = b"\0\0\0\x05\x01\0\0\0\x03"


def raw(s, data, replies):
    """Bytes into the subsystem; so many answers, and ssh's own words.  (sftp-server, told of the end, answers nothing more.)"""
    one = s.begin("alice+osv1", "sftp", options=("-T", "-s"), bufsize=0)
    one.stdin.write(data)
    found = []
    while len(found) < replies and len(head := one.stdout.read(4)) == 4:
        left = int.from_bytes(head, "big")
        body = b""
        while left > len(body) and (more := one.stdout.read(left - len(body))):
            body += more
        found.append(body)
    return found, one.communicate(timeout=60)[1]


def test_an_unknown_extension_is_refused_and_the_session_lives(s):
    replies, err = raw(s, INIT + packet(200, 7, text(b"evil@example.org"), b"x" * 50) + packet(16, 8, text(b".")), 3)
    assert replies[0][0] == 2
    assert replies[1][:9] == bytes([101]) + (7).to_bytes(4, "big") + (8).to_bytes(4, "big"), replies[1]
    assert replies[2][0] == 104 and replies[2][1:5] == (8).to_bytes(4, "big"), err


def test_a_packet_that_cannot_be_ends_the_channel_with_its_reason(s):
    for head in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff\x06"):
        out, err = raw(s, INIT + head + b"\0" * 100, 2)
        assert b"lodge: denied [protocol]" in err, (head, out, err)
    assert s.ssh("alice+osv1", "echo alive").stdout == b"alive\n"


def test_a_name_of_any_bytes_is_shown_safely(s, home):
    name = b"a\n\x1b]52;c;ZXZpbA==\x07%s'\"\xff"
    out, err = raw(
        s,
        INIT
        + packet(3, 1, text(name), (0x1A).to_bytes(4, "big"), (0).to_bytes(4, "big"))
        + packet(3, 2, text(b"n" * 4096), (1).to_bytes(4, "big"), (0).to_bytes(4, "big")),
        3,
    )
    assert os.fsencode(home) + b"/" + name in [os.fsencode(p) for p in home.iterdir()], (out, err)
    wait_for(lambda: not s.sessions(), "the end of her session")
    rows = s.sealed(1)
    shown = s.ssh("otto", "files", str(rows[-1]["number"])).stdout
    assert b"\x1b" not in shown and b"\x07" not in shown


def test_all_of_it_is_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
