"""The comparison itself: each way in which a recording could lie is named.  A test that cannot fail is a defect."""

import dataclasses
import os

import pytest
import truth
from matrix import Matrix

DATA = os.urandom(300_000)


def heard(**more):
    return truth.Heard("cat", False, {"in": DATA, "out": DATA, "err": b"", **more}, status=0)


def recorded(asked=("exec", "cat"), ended=0, **more):
    return (asked, {"in": DATA, "out": DATA, "err": b"", **more}, ended)


def test_the_same():
    assert truth.streams_compare([heard(), heard(out=b"x")], [recorded(out=b"x"), recorded()]) == []


@pytest.mark.parametrize(
    "lie, word",
    [
        ([], "not recorded"),
        ([recorded(), recorded()], "never at the target"),
        ([recorded(("exec", "dog"))], "not recorded"),
        ([recorded(out=DATA[:-1])], "target has 300000 bytes, recording 299999"),
        ([recorded(out=DATA + b"x")], "recording 300001"),
        ([recorded(err=b"x")], "err: "),
        ([recorded(**{"in": DATA[:1234] + bytes([DATA[1234] ^ 1]) + DATA[1235:]})], "in: byte 1234 differs"),
        ([recorded(ended=1)], "ended with 0, and 1 was recorded"),
        ([recorded(out=DATA[1:] + DATA[:1])], "out: byte"),
    ],
)
def test_a_lie_is_named(lie, word):
    wrong = truth.streams_compare([heard()], lie)
    assert any(word in line for line in wrong), wrong


def test_an_early_end_is_a_beginning_and_nothing_else():
    assert truth.streams_compare([heard()], [recorded(out=DATA[:1000])], early=True) == []
    assert truth.streams_compare([heard()], [recorded(out=b"x" + DATA[1:1000])], early=True)


def test_the_one_number_that_is_changed():
    init = lambda version: b"\0\0\0\5\1\0\0\0" + bytes([version])
    got = truth.Heard(truth.SFTP_SERVER, False, {"in": init(3), "out": b"", "err": b""})
    lies = lambda sent: truth.streams_compare([got], [recorded(("subsystem", "sftp"), **{"in": sent, "out": b""})])
    assert lies(init(6)) == []
    assert lies(init(2))
    assert lies(init(6) + b"x")


LOG = """open "/a" flags WRITE,CREATE,TRUNCATE mode 0644
close "/a" bytes read 0 written 6
mkdir name "/d" mode 0777
posix-rename old "/a" new "/b"
forced close "/b" bytes read 6 written 0
"""
FILES = [
    {"op": "upload", "path": "/a", "bytes": 6, "flags": [], "result": "ok"},
    {"op": "download", "path": "/b", "bytes": 6, "flags": [], "result": "ok"},
]
OPERATIONS = [{"op": "mkdir"}, {"op": "rename"}]


def ledger(files=FILES, operations=OPERATIONS):
    return truth.ledger_compare([dataclasses.replace(heard(), sftp_log=LOG)], files, operations)


def test_a_ledger_that_is_right():
    assert ledger() == []


@pytest.mark.parametrize(
    "lie",
    [
        {"files": FILES[:1]},
        {"files": FILES + FILES[:1]},
        {"files": [dict(FILES[0], bytes=7), FILES[1]]},
        {"files": [dict(FILES[0], path="/x"), FILES[1]]},
        {"files": [dict(FILES[0], op="download"), FILES[1]]},
        {"operations": OPERATIONS[:1]},
        {"operations": []},
    ],
)
def test_a_ledger_that_lies(lie):
    assert ledger(**lie)


def test_a_digest_that_lies(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"small\n")
    good = {"op": "upload", "path": "f", "bytes": 6, "sha256": truth.digest(path), "result": "ok"}
    assert truth.carried_compare("upload", path, tmp_path, [good]) == []
    for lie in (
        {"sha256": None},
        {"sha256": "0" * 64},
        {"bytes": 5},
        {"op": "download"},
        {"result": "failed: x"},
        {"sha256": None, "result": "unfinished"},
    ):
        assert truth.carried_compare("upload", path, tmp_path, [dict(good, **lie)])


def test_the_worst_stays_in_the_table():
    m = Matrix()
    for outcome in ("ok", "FAIL", "ok"):
        m.add("ssh", "exec", "plus", outcome, "why")
    m.add("ssh", "exec", "jump", "ok")
    assert m.table()[-1] == "| ssh | `+` FAIL, `-J` ok |"
    assert m.remarks() == ["FAIL ssh, exec, alice+osv1@lodge: why"]
