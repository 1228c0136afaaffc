"""npm's ssh2: commands, streams, a shell, sftp, many channels.  Through Lodge by -J: forwardOut, and sock.

The package is installed at test time, into build/clients, and never committed.
"""

import base64
import hashlib
import json
import shutil
import subprocess

import pytest
from ground import HERE

pytestmark = pytest.mark.client("npm ssh2")
feature = pytest.mark.feature
INTO = HERE.parents[1] / "build/clients/node"


@pytest.fixture(scope="module")
def client_js():
    INTO.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.js"):
        shutil.copy(HERE / "node" / name, INTO)
    words = ["npm", "install", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts", "--prefer-offline"]
    done = subprocess.run(words, cwd=INTO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return INTO / "client.js"


def node(case, client_js, do, **more):
    ground, way = case.ground, case.way
    what = dict(host=way.address, port=way.port, username=way.user, privateKey=str(ground.key), do=do, **more)
    what["hostKey"] = ground.host_key(way).split()[1]
    if way.is_jump:
        what["jump"] = dict(host="127.0.0.1", port=ground.ways["plus"].port, username="alice")
    return json.loads(case.run(["node", client_js, json.dumps(what)], timeout=60).stdout)


@feature("exec")
@pytest.mark.parametrize("status", [0, 3, 77])
def test_exec(case, client_js, status):
    said = node(
        case,
        client_js,
        "exec",
        command=f"printf 'a\\0b\\377'; cat >&2; exit {status}",
        input=base64.b64encode(b"in").decode(),
    )
    assert base64.b64decode(said["out"]) == b"a\0b\xff"
    assert (said["status"], base64.b64decode(said["err"])) == (status, b"in")
    case.compare()


@feature("streams")
def test_streams(case, client_js):
    said = node(
        case, client_js, "streams", command=f"cat > {case.name}/up.bin; cat down.bin", local=str(case.ground.up)
    )
    assert said["sha256"] == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@feature("shell")
def test_shell(case, client_js):
    said = node(case, client_js, "shell")
    assert said["status"] == 6
    assert "33 99" in said["out"]
    case.compare()


@feature("put")
def test_put(case, client_js):
    node(case, client_js, "put", local=str(case.ground.up), remote=f"{case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
def test_get(case, client_js):
    node(case, client_js, "get", local=str(case.local / "down.bin"), remote="down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("manage")
def test_manage(case, client_js):
    assert node(case, client_js, "manage", remote=case.name) == {"names": ["b", "link"], "read": "small\n"}
    case.compare()


@feature("many channels")
def test_many(case, client_js):
    said = node(case, client_js, "many", count=30)
    assert said == [[n, hashlib.sha256(b"%d\n" % n * 1000).hexdigest()] for n in range(30)]
    case.compare()
