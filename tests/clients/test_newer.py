"""A newer OpenSSH than this machine's (10.1 or later), out of a root of its own: it says nothing of key exchanges that
are not post-quantum, and does what the old one does."""

import re
import subprocess

import pytest
from ground import HERE

pytestmark = pytest.mark.client("OpenSSH of Debian forky")
feature = pytest.mark.feature


@pytest.fixture(scope="module")
def newer():
    """The beginning of a command line that runs the rest inside of that root, with this machine's /tmp and devices."""
    done = subprocess.run([HERE / "newer_root"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    root = done.stdout.strip()
    inside = f'mount --rbind /tmp {root}/tmp && mount --rbind /dev {root}/dev && exec chroot {root} "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh"]


def test_it_is_newer(newer):
    said = subprocess.run([*newer, "ssh", "-V"], capture_output=True, text=True).stderr
    major, minor = map(int, re.match(r"OpenSSH_(\d+)\.(\d+)", said).groups())
    assert (major, minor) >= (10, 1)


@feature("exec")
def test_exec_and_not_a_word_of_warning(case, newer):
    done = case.run([*newer, *case.ssh(), "cat; exit 3"], stdin=b"in\n", status=3)
    assert done.stdout == b"in\n"
    if not case.way.is_direct:  # the target's own sshd is an old one
        assert done.stderr == b""
    case.compare()


@feature("exec")
def test_key_exchange_is_post_quantum(case, newer):
    done = case.run([*newer, *case.ssh("-v"), "true"])
    exchanges = re.findall(rb"kex: algorithm: (\S+)", done.stderr)
    assert exchanges
    if not case.way.is_direct:
        assert set(exchanges) == {b"mlkem768x25519-sha256"}
        assert len(exchanges) == (2 if case.way.is_jump else 1)
        assert b"WARNING" not in done.stderr
    case.compare()


@feature("put")
@pytest.mark.parametrize("mode", ["-s", "-O"])
def test_scp_put(case, newer, mode):
    case.run([*newer, "scp", mode, "-F", case.config, case.ground.up, f"{case.way.host}:{case.name}/up.bin"])
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
@pytest.mark.parametrize("mode", ["-s", "-O"])
def test_scp_get(case, newer, mode):
    case.run([*newer, "scp", mode, "-F", case.config, f"{case.way.host}:down.bin", case.local / "down.bin"])
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("manage")
def test_sftp(case, newer):
    small = case.upload_here("small", b"small\n")
    batch = f"cd {case.name}\nmkdir d\nput {small} d/a\nrename d/a d/b\ncopy d/b d/c\nls -la d\nrm d/c\n"
    done = case.run([*newer, "sftp", "-F", case.config, "-b", "-", case.way.host], stdin=batch.encode())
    assert b"d/b" in done.stdout or b" b" in done.stdout
    assert sorted(p.name for p in case.remote.rglob("*")) == ["b", "d"]
    case.compare()


@feature("addresses")
def test_the_forms_as_people_type_them(case, newer):
    site, way = case.ground.site, case.way
    words = {
        "direct": ["direct"],
        "plus": ["-p", site.port, "alice+osv1@127.0.0.1"],
        "jump": ["-o", "HostKeyAlias=lodge", "-J", f"alice@127.0.0.1:{site.port}", f"{site.account}@osv1"],
    }[way.name]
    done = case.run([*newer, "ssh", "-F", case.config, *words, "id -un"])
    assert done.stdout.decode() == f"{site.account}\n"
    case.compare()
