"""An examiner opens a recording with stock tools and finds every byte of every channel, text or not, each way; and the
auditor's list of what was carried names the same commands in the same order."""

import hashlib
import json
import os
import re
import subprocess

import pytest
import recording
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code",)


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    return site


def visit(s, command, **how):
    """Runs the command; what ssh said, its recording, and the recording's row."""
    before = {r["id"] for r in s.json("otto", "recordings")}
    done = s.ssh("alice+osv1", command, **how)
    return done, *recording_after(s, before, command)


def recording_after(s, before, what):
    """The recording that was not there before, when it is whole; and its row."""

    def look():
        rows = [r for r in s.json("otto", "recordings") if r["id"] not in before]
        return rows[0] if rows and rows[0]["state"] == "whole" else None

    row = wait_for(look, f"the sealed recording of {what}")
    return recording.open(s, row), row


@pytest.fixture(scope="module")
def both(s):
    """Random bytes both ways."""
    data = os.urandom(3_000_000)
    return data, *visit(s, "cat", stdin=data)


def test_what_the_target_wrote_is_what_was_recorded(s):
    command = "head -c 100000 /dev/urandom | tee x | cat"
    done, r, row = visit(s, command)
    wrote = (s.dir / "osv1/home/x").read_bytes()
    assert len(wrote) == 100000 and done.stdout == wrote
    (channel,) = r.channels
    assert r.bytes(channel, "out") == wrote
    assert r.bytes(channel, "in") == b"" and r.bytes(channel, "err") == b""
    assert row["bytes_out"] == 100000
    (exec_,) = r.facts("exec")
    assert (exec_["command"], exec_["bytes"], exec_["channel"]) == (command, command.encode(), channel)
    assert [f["status"] for f in r.facts("exit")] == [0]
    assert r.facts()[-1]["kind"] == "end" and r.facts("end")[0]["code"] in ("left", "done", "client-gone")
    assert 0 <= exec_["at_ms"] <= r.facts("exit")[0]["at_ms"] <= r.facts("end")[0]["at_ms"]
    assert r.meta["rec"] == row["id"]


def test_random_bytes_both_ways(both):
    data, done, r, _ = both
    assert done.stdout == data
    (channel,) = r.channels
    assert r.bytes(channel, "in") == data
    assert r.bytes(channel, "out") == data
    # and they lie there at hardly more than their size
    size = sum(p.stat().st_size for p in r.directory.iterdir())
    assert size < 2.2 * len(data), f"{size} bytes on the shelf for {len(data)} each way"


def test_streams_are_apart_and_text_is_not_changed(s):
    command = r"printf 'Gr\303\274\303\237e\n'; printf 'latin \374\n'; printf 'bad \377\000\001' >&2; cat"
    done, r, _ = visit(s, command, stdin=b"\xc3")
    (channel,) = r.channels
    assert r.bytes(channel, "out") == "Grüße\n".encode() + b"latin \xfc\n\xc3" == done.stdout
    assert r.bytes(channel, "err") == b"bad \xff\0\1" == done.stderr
    assert r.bytes(channel, "in") == b"\xc3"


def test_a_terminal_is_shown_whatever_is_written_to_it(s):
    """Bytes that show nothing, strewn in, hide nothing from an auditor."""
    command = r"printf 's\000\000e\000\000c\000\000r\000\000e\000\000t'"
    _, r, row = visit(s, command, options=("-tt",))
    assert b"s\0\0e\0\0c\0\0r\0\0e\0\0t" in r.bytes(r.channels[0], "out")
    assert "secret" in s.verb("otto", "play", str(row["number"]), "--speed", "0").replace(command, "")


def test_what_is_no_text_is_played_as_one_line(s, both):
    row = both[-1]
    played = s.verb("otto", "play", str(row["number"]), "--speed", "0")
    assert "3000000 bytes that are no text]" in played
    assert len(played) < 2000


def test_otto_lists_what_was_carried(s):
    command = "cat  # \x1b[2J\u202e"
    _, r, row = visit(s, command, stdin=b"x")
    for person in ("otto", "maria"):
        said = s.verb(person, "files", str(row["number"]))
        assert re.match(r"TIME +CHANNEL +WHAT +BYTES +SHA256 +RESULT +PATH\n", said)
        assert re.search(r"^00:00:\d\d +\d+ +exec .* cat  # \ufffd\[2J\ufffd$", said, re.M)
        assert re.search(r"^00:00:\d\d +- +end ", said, re.M)
        assert "\x1b" not in said
    rows = s.json("otto", "files", str(row["number"]))
    assert [x["ev"] for x in rows] == ["exec", "end"]
    assert rows[0]["command"] == command and rows[0]["channel"] == r.channels[0]
    assert rows[0]["at_ms"] == r.facts("exec")[0]["at_ms"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", rows[0]["time"])
    assert s.ssh("alice", "files", str(row["number"])).returncode == 77
    wait_for(lambda: [e for e in s.events("otto", "reading") if e["lodge"]["what"] == "files"], "the event of the reading")


def test_otto_lists_the_files_of_an_sftp(s, tmp_path):
    """Both ways, with the digests that sha256sum prints; and the recording holds what was carried."""
    data = {"up": os.urandom(700_000), "down": os.urandom(900_000)}
    (tmp_path / "up").write_bytes(data["up"])
    (s.dir / "osv1/home/down").write_bytes(data["down"])
    before = {r["id"] for r in s.json("otto", "recordings")}
    batch = f"put {tmp_path}/up\nget down {tmp_path}/down\nrename up there\n"
    sftp = ["sftp", "-F", s.dir / "ssh_config", "-b", "-", "alice+osv1@127.0.0.1"]
    done = subprocess.run(sftp, input=batch, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down").read_bytes() == data["down"]
    assert (s.dir / "osv1/home/there").read_bytes() == data["up"]
    r, row = recording_after(s, before, "sftp")
    rows = s.json("otto", "files", str(row["number"]))
    files = {x["file"]["op"]: x["file"] for x in rows if "file" in x}
    for op, name in (("upload", "up"), ("download", "down")):
        assert files[op]["sha256"] == hashlib.sha256(data[name]).hexdigest()
        assert files[op]["bytes"] == len(data[name]) and files[op]["result"] == "ok"
        assert files[op]["path"] == f"{s.dir}/osv1/home/{name}"
        assert {k: v for k, v in r.facts("file")[op == "download"].items() if k in files[op]} == files[op]
        assert data[name][:16000] in r.bytes(r.channels[0], "in" if op == "upload" else "out")
    said = s.verb("otto", "files", str(row["number"]))
    lines = [re.split("  +", line)[2:] for line in said.splitlines()[1:]]
    assert [line[0] for line in lines] == ["subsystem", "upload", "download", "rename", "end"], said
    assert lines[1][1:4] == ["700000", files["upload"]["sha256"], "ok"]
    assert lines[3][-1] == f"{s.dir}/osv1/home/up -> {s.dir}/osv1/home/there"
    played = s.verb("otto", "play", str(row["number"]), "--speed", "0")
    assert f"upload {s.dir}/osv1/home/up, 683.5 KiB, ok]" in played


def test_a_damaged_recording_is_listed_as_far_as_it_goes(s, both):
    _, _, r, row = both
    names = sorted(n for n in r.names if re.match(r"\d{6}\.", n))
    assert len(names) > 3
    (r.directory / names[1]).unlink()
    damaged = bytearray((r.directory / names[2]).read_bytes())
    damaged[-10] ^= 1
    (r.directory / names[2]).write_bytes(damaged)
    with pytest.raises(recording.Damaged):
        recording.open(s, row)
    said = s.verb("otto", "files", str(row["number"]), status=1)
    assert re.search(rf"missing .* No such file or directory  {names[1]}\n", said)
    assert re.search(rf"missing .* chunk authentication failed  {names[2]}\n", said)
    assert "exec" in said and "end" in said and "something is missing" in said


def test_a_bundle_lists_the_same(s, tmp_path):
    command = "echo bundled; exit 3"
    _, _, row = visit(s, command)
    r = recording.exported(s, row["number"], tmp_path)
    assert r.bytes(r.channels[0], "out") == b"bundled\n"
    replay = [s.dir / "lib/lodge-replay", "files", "--identity", s.dir / "etc/reading.age", "--json", r.directory]
    done = subprocess.run(replay, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert json.loads(done.stdout) == s.json("otto", "files", str(row["number"]))
