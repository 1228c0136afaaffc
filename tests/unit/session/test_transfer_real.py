"""
Real clients and real servers through a transfer (transfer_pipe): what arrives is what was sent, and the ledger's digests
are those of the files themselves.
"""
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

PIPE = Path(os.environ.get("LODGE_UNIT", "build/test/unit")).resolve() / "transfer_pipe"
SERVER = "/usr/lib/openssh/sftp-server"
UP, DOWN = 4, 8
MIB = 1024 * 1024

for program in (PIPE, SERVER, shutil.which("sftp"), shutil.which("scp")):
    assert program and Path(program).exists(), program


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Ledger:
    def __init__(self, path):
        self.path = path

    def facts(self, shape):
        lines = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [line[shape] for line in lines if shape in line]

    def file(self, name):
        (fact,) = [f for f in self.facts("file") if os.path.basename(f["path"]) == name or f.get("name") == name]
        return fact


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "facts")


def sftp(tmp_path, ledger, batch, capabilities=UP | DOWN, piece=32768, options=()):
    line = f"{PIPE} sftp {capabilities} {ledger.path} {piece} -- {SERVER}"
    return subprocess.run(["sftp", *options, "-b", "-", "-D", line], input=batch, text=True, cwd=tmp_path,
                          capture_output=True, timeout=240)


def scp(tmp_path, ledger, *arguments):
    """scp -O, whose `ssh` is a transfer; a command runs here."""
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/bash\n"
        "command=${!#}\n"
        "kind=up; [[ $command =~ \\ -f\\  ]] && kind=down\n"
        f"exec {shlex.quote(str(PIPE))} $kind 0 {shlex.quote(str(ledger.path))} 4093 \"$command\" -- "
        "/bin/sh -c \"$command\"\n")
    ssh.chmod(0o755)
    return subprocess.run(["scp", "-O", "-q", "-S", str(ssh), *arguments], cwd=tmp_path, text=True, capture_output=True,
                          timeout=240)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    path = tmp_path_factory.mktemp("big") / "big"
    with open(path, "wb") as to:
        for _ in range(64):
            to.write(os.urandom(MIB))
    yield path
    path.unlink()


@pytest.mark.parametrize("piece, options", [(32768, []), (4093, ["-B", "32768"]), (131072, ["-R", "256"])])
def test_sftp_64_mib_both_ways(tmp_path, ledger, big, piece, options):
    run = sftp(tmp_path, ledger, f"put {big} up\nget up down\n", piece=piece, options=options)
    assert run.returncode == 0, run.stderr
    want = digest(big)
    assert digest(tmp_path / "up") == want
    assert digest(tmp_path / "down") == want
    up, down = ledger.facts("file")
    for fact, op in ((up, "upload"), (down, "download")):
        assert fact["op"] == op
        assert fact["path"] == str(tmp_path / "up")
        assert fact["bytes"] == fact["size"] == 64 * MIB
        assert fact["sha256"] == want
        assert fact["whole"] is True
        assert fact["result"] == "ok"
    assert ledger.facts("counts") == [{"files_up": 1, "files_down": 1, "refused": 0, "bytes_up": 64 * MIB,
                                       "bytes_down": 64 * MIB}]


def test_sftp_down_only(tmp_path, ledger):
    """An upload is refused with a reason that the client prints; the session lives, and downloads."""
    (tmp_path / "here").write_bytes(b"content")
    (tmp_path / "mine").write_bytes(b"mine")
    batch = ("-put mine up\n-rm here\n-mkdir d\n-rename here there\n-chmod 777 here\n-ln -s here link\n-ln here hard\n"
             "ls -l\nget here down\n")
    run = sftp(tmp_path, ledger, batch, DOWN)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "down").read_bytes() == b"content"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["down", "facts", "here", "mine"]
    assert "Permission denied" in run.stderr
    assert "here" in run.stdout
    ops = [(f["op"], f["reason"], f["status"]) for f in ledger.facts("refused")]
    assert ops == [(op, "capability", 3) for op in
                   ("upload", "remove", "mkdir", "rename", "setstat", "symlink", "hardlink")]
    assert ledger.file("here")["sha256"] == digest(tmp_path / "here")


def test_sftp_up_only(tmp_path, ledger):
    (tmp_path / "mine").write_bytes(b"mine")
    run = sftp(tmp_path, ledger, "put mine up\n-get up down\nls\n", UP)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "up").read_bytes() == b"mine"
    assert not (tmp_path / "down").exists() or (tmp_path / "down").read_bytes() == b""
    (refused,) = ledger.facts("refused")
    assert (refused["op"], refused["reason"], refused["path"]) == ("download", "capability", str(tmp_path / "up"))
    assert ledger.file("up")["whole"] is True


def test_sftp_changes_have_their_results(tmp_path, ledger):
    (tmp_path / "a").write_bytes(b"a")
    batch = "mkdir d\nrename a b\nln -s b l\nln b h\nchmod 600 b\n-rm none\nrm h\nrmdir d\nput -p b c\n"
    run = sftp(tmp_path, ledger, batch)
    assert run.returncode == 0, run.stderr
    here = str(tmp_path)
    got = [(f["op"], f["path"].removeprefix(here + "/"), f.get("to", "").removeprefix(here + "/"), f["result"])
           for f in ledger.facts("operation")]
    assert got == [
        ("mkdir", "d", "", "ok"), ("rename", "a", "b", "ok"), ("symlink", "l", "b", "ok"), ("hardlink", "b", "h", "ok"),
        ("setstat", "b", "", "ok"), ("remove", "none", "", "failed: no such file"), ("remove", "h", "", "ok"),
        ("rmdir", "d", "", "ok"), ("setstat", "c", "", "ok")]
    assert ledger.facts("operation")[4]["mode"] == "0600"


def test_sftp_resumed(tmp_path, ledger, big):
    """reput, reget: what was carried is a part, and is called one."""
    whole = big.read_bytes()[:MIB]
    (tmp_path / "mine").write_bytes(whole)
    (tmp_path / "up").write_bytes(whole[:1000])
    (tmp_path / "down").write_bytes(whole[:1000])
    run = sftp(tmp_path, ledger, "reput mine up\nreget mine down\n")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "up").read_bytes() == (tmp_path / "down").read_bytes() == whole
    for name in ("up", "mine"):
        fact = ledger.file(name)
        assert fact["sha256"] is None and fact["whole"] is False
        assert fact["bytes"] == MIB - 1000 and fact["result"] == "ok"
    assert ledger.file("mine")["why"] == f"only bytes 1000-{MIB - 1}"


def test_sftp_odd_names_and_sizes(tmp_path, ledger):
    names = {"empty": b"", "one": b"1", "a b": b"x" * 32767, "quote'\"": b"x" * 32768, "Müller": b"x" * 32769,
             "tab\t": b"x" * 261120}
    (tmp_path / "from").mkdir()
    for name, content in names.items():
        (tmp_path / "from" / name).write_bytes(content)
    run = sftp(tmp_path, ledger, "put -r from up\nget -r up down\n", piece=997)
    assert run.returncode == 0, run.stderr
    for name, content in names.items():
        assert (tmp_path / "down" / name).read_bytes() == content
        facts = [f for f in ledger.facts("file") if os.path.basename(f["path"]) == name]
        assert [f["op"] for f in facts] == ["upload", "download"], name
        for fact in facts:
            assert fact["sha256"] == hashlib.sha256(content).hexdigest() and fact["whole"], (name, fact)


def test_sftp_full_disk(tmp_path, ledger):
    run = sftp(tmp_path, ledger, "put " + str(Path(SERVER)) + " /dev/full\n")
    assert run.returncode != 0
    fact = ledger.file("full")
    assert (fact["result"], fact["sha256"], fact["why"]) == ("failed: failure", None, "a write failed")


def test_scp_both_ways(tmp_path, ledger, big):
    run = scp(tmp_path, ledger, str(big), f"host:{tmp_path}/up")
    assert run.returncode == 0, run.stderr
    run = scp(tmp_path, ledger, f"host:{tmp_path}/up", str(tmp_path / "down"))
    assert run.returncode == 0, run.stderr
    want = digest(big)
    assert digest(tmp_path / "up") == digest(tmp_path / "down") == want
    up, down = ledger.facts("file")
    assert (up["op"], up["path"], up["name"]) == ("upload", f"{tmp_path}/up", "big")
    assert (down["op"], down["path"], down["name"]) == ("download", f"{tmp_path}/up", "up")
    for fact in (up, down):
        assert (fact["bytes"], fact["sha256"], fact["whole"], fact["result"]) == (64 * MIB, want, True, "ok")


def test_scp_directories(tmp_path, ledger):
    for name in ("from/a b/f", "from/a b/empty", "from/g"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name.endswith("empty") else name.encode())
    (tmp_path / "to").mkdir()
    run = scp(tmp_path, ledger, "-r", "-p", "from", "to/nothing", f"host:{tmp_path}/to")
    assert "No such file" in run.stderr
    assert (tmp_path / "to/from/a b/f").read_bytes() == b"from/a b/f"
    paths = {f["path"]: f for f in ledger.facts("file")}
    for name in ("from/a b/f", "from/a b/empty", "from/g"):
        fact = paths[f"{tmp_path}/to/{name}"]
        assert fact["sha256"] == digest(tmp_path / name) and fact["name"] == name
    made = [f["path"] for f in ledger.facts("operation") if f["op"] == "directory"]
    assert made == [f"{tmp_path}/to/from", f"{tmp_path}/to/from/a b"]
    (failed,) = [f["result"] for f in ledger.facts("operation") if f["op"] == "upload"]
    assert failed.endswith("to/nothing: No such file or directory")
    ledger.path.unlink()
    run = scp(tmp_path, ledger, "-r", f"host:{tmp_path}/to/from", str(tmp_path / "back"))
    assert run.returncode == 0, run.stderr
    assert sorted(f["path"] for f in ledger.facts("file")) == sorted(
        f"{tmp_path}/to/{name}" for name in ("from/a b/f", "from/a b/empty", "from/g"))


def test_scp_failures(tmp_path, ledger):
    (tmp_path / "mine").write_bytes(b"mine")
    run = scp(tmp_path, ledger, "mine", f"host:{tmp_path}/none/none")
    assert run.returncode == 1
    run = scp(tmp_path, ledger, f"host:{tmp_path}/none", "back")
    assert run.returncode == 1
    run = scp(tmp_path, ledger, "mine", "host:/dev/full")
    results = [f["result"] for f in ledger.facts("file") + ledger.facts("operation")]
    assert len(results) == 3 and all(r.startswith("failed: ") for r in results), results
    assert any(re.search("No such file", r) for r in results)
    assert any(re.search("No space left", r) for r in results)
