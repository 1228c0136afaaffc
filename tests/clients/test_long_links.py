"""Long links, 20 and 100 ms there and back: from the client to Lodge, and from Lodge to its target, both at once.

What is asked for is exactness; nothing is said of time.
"""

import os

import pytest

pytestmark = [
    pytest.mark.client("OpenSSH, long links"),
    pytest.mark.parametrize("round_trip_ms", [20, 100]),
]
feature = pytest.mark.feature


@pytest.fixture
def far(case, round_trip_ms):
    """The case, by long ways: an ssh_config before the ordinary one."""
    near, name = case.ground.far(round_trip_ms), f"far{round_trip_ms}"
    config = f"""
Host direct
    Port {near.road_to_target.port}
Host plus
    User alice+{name}
    Port {near.road_to_lodge.port}
Host lodge
    Port {near.road_to_lodge.port}
Host osv1
    HostName {name}
Match all
    Include {case.ground.config}
"""
    case.config = case.upload_here("ssh_config", config.encode())
    return case


@feature("exec")
def test_exec(far):
    done = far.run([*far.ssh(), "cat; echo err >&2; exit 3"], stdin=b"in\n", status=3)
    assert (done.stdout, done.stderr) == (b"in\n", b"err\n")
    far.compare()


@feature("streams")
def test_both_ways_at_once(far):
    data = os.urandom(8 << 20)
    assert far.run([*far.ssh("-o", "RekeyLimit=2M"), "cat"], stdin=data).stdout == data
    far.compare()


@feature("put")
@pytest.mark.parametrize("mode", ["-s", "-O"])
def test_put(far, mode):
    up = far.upload_here("up.bin", os.urandom(12 << 20))
    far.run(["scp", mode, "-F", far.config, up, f"{far.way.host}:{far.name}/up.bin"])
    far.uploaded(up, "up.bin")
    far.compare()


@feature("get")
@pytest.mark.parametrize("mode", ["-s", "-O"])
def test_get(far, mode):
    down = far.target_file("down.bin", os.urandom(12 << 20))
    far.run(["scp", mode, "-F", far.config, f"{far.way.host}:{far.name}/down.bin", far.local / "down.bin"])
    far.downloaded(down, far.local / "down.bin")
    far.compare()
