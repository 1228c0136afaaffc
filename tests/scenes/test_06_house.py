"""The house as the kernel sees it, while alice is in: who each process is, what it may, and what it holds.

Only the dialer connects; a target's socket is in nobody's hand before the recording has begun durably, and in one
hand afterwards.  No process that meets the network holds a key or can open the database.
"""

import collections
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

import pytest
from site_of_lodge import Site, wait_for

SITE_WORDS = ("--no-code",)
USERS = {
    "lodge-book": "lodge-book",
    "lodge-recorder": "lodge-recorder",
    "lodge-reader": "lodge-reader",
    "lodge-policy": "lodge-policy",
    "lodge-auth": "lodge-auth",
    "lodge-dialer": "lodge-dialer",
    "lodge-session --parent": "lodge-session",
    "lodge-session": "lodge-session",
}


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def fds_of(pid):
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(fd.name)] = os.readlink(fd)
        except OSError:
            pass
    return found


def tcp_inodes():
    """{inode: (local port, remote port)} of TCP sockets that are connected or listen."""
    found = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        local, remote = (int(x.split(":")[1], 16) for x in words[1:3])
        found[words[9]] = (local, remote)
    return found


@pytest.fixture(scope="module")
def house(site):
    site.granted("8h")
    site.terminals_shell = site.shell()
    return site


def test_each_process_is_its_own_user(house):
    children = house.children()
    assert set(USERS) == set(children.values()), children
    for pid, name in children.items():
        s = status_of(pid)
        uid = pwd.getpwnam(USERS[name]).pw_uid
        assert s["Uid"].split() == [str(uid)] * 4, (name, s["Uid"])
        assert s["Gid"].split()[0] != "0" and s["Groups"].split() in ([], [s["Gid"].split()[0]]), (name, s["Groups"])


def test_none_has_a_capability_or_can_get_one(house):
    for pid, name in house.children().items():
        s = status_of(pid)
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[which], 16) == 0, (name, which, s[which])
        assert s["NoNewPrivs"] == "1", name
    gateway = int(status_of(house.gateway.pid)["CapEff"], 16)
    allowed = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10}
    assert gateway & ~sum(1 << bit for bit in allowed.values()) == 0


def test_none_leaves_a_core_or_lets_itself_be_read(house):
    for pid, name in [*house.children().items(), (house.gateway.pid, "lodge-gateway")]:
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        if name != "lodge-gateway":
            assert re.search(r"Max core file size\s+0\s+0", limits), name
        # a process that is not dumpable has its /proc files owned by root
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0, name


def test_who_holds_which_files(house):
    held = collections.defaultdict(set)
    for pid, name in house.children().items():
        for target in fds_of(pid).values():
            if target.startswith("/") and not target.startswith(("/dev/null", "/memfd:")):
                held[name].add(target)
    log = str(house.dir / "lodge.log")
    state = str(house.dir)
    files = {name: {f for f in paths if f != log and f.startswith(state)} for name, paths in held.items()}
    for name in ("lodge-dialer", "lodge-session", "lodge-session --parent"):
        assert files.get(name, set()) == set(), (name, files[name])
    assert all("/state/policy/" in f for f in files.get("lodge-policy", set())), files["lodge-policy"]
    assert any("policy.db" in f for f in files["lodge-policy"])
    assert all("/recordings" in f for f in files["lodge-recorder"]), files["lodge-recorder"]
    assert all("/state/book" in f for f in files["lodge-book"]), files["lodge-book"]
    for name, paths in files.items():
        assert not [f for f in paths if "/etc/" in f], f"{name} keeps a key's file open"


def test_sockets_of_the_internet(house):
    inodes = tcp_inodes()
    sshd = int(house.facts["sshd_port"])
    held = collections.defaultdict(list)
    for pid, name in [*house.children().items(), (house.gateway.pid, "lodge-gateway")]:
        for target in fds_of(pid).values():
            match = re.fullmatch(r"socket:\[(\d+)\]", target)
            if match and match.group(1) in inodes:
                held[name].append(inodes[match.group(1)])
    assert set(held) == {"lodge-gateway", "lodge-session"}, held
    assert all(local == house.port and remote == 0 for local, remote in held["lodge-gateway"])
    ports = {port for pair in held["lodge-session"] for port in pair}
    assert house.port in ports and sshd in ports


def test_a_session_can_open_nothing_of_ours(house):
    """As its user: the database, the recordings, the keys and the other processes' memory are out of reach."""
    uid = str(pwd.getpwnam("lodge-session").pw_uid)
    for path in ("state/policy/policy.db", "state/auth", "recordings/wal", "recordings/s", "etc/host_ed25519", "etc/reading.age", "pam/users.oath"):
        done = subprocess.run(
            ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "ls", "-R", str(house.dir / path)]
            if (house.dir / path).is_dir()
            else ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "cat", str(house.dir / path)],
            capture_output=True,
        )
        assert done.returncode != 0, path


def test_after_she_left_nothing_is_left(house):
    house.terminals_shell.sendline("exit")
    house.terminals_shell.wait()
    wait_for(lambda: not house.sessions(), "the end of her session")
    wait_for(lambda: not fds_with_ring(house), "the ring let go")


def fds_with_ring(house):
    return [t for pid in house.children() for t in fds_of(pid).values() if "lodge-ring" in t] + [
        t for t in fds_of(house.gateway.pid).values() if "lodge-ring" in t
    ]


# ---- descriptors on their way, seen from outside ----


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A visit under strace: the lines of all processes, by time."""
    where = tmp_path_factory.mktemp("strace")
    where.chmod(0o777)
    where.parent.chmod(0o755)
    calls = "connect,accept4,sendmsg,recvmsg,fdatasync,fsync,clone,fork,vfork,execve,openat,socket"
    one = Site(
        "--no-code",
        "--build",
        str(pathlib.Path(os.environ.get("LODGE_BUILD", "build/test"))),
        people=False,
        env={"ASAN_OPTIONS": "detect_leaks=0"},  # the leak finder and strace are both tracers
        wrap=("strace", "-f", "-ttt", "-y", "-yy", "-s", "4", "-e", f"trace={calls}", "-o", str(where / "all")),
    )
    try:
        one._site("people", one.dir)
        one.granted()
        assert one.ssh("alice+osv1", "echo hi").stdout == b"hi\n"
        one.sealed(1)
        text = (where / "all").read_text()
        names = {}
        tracer = one.gateway.pid
        (gateway,) = [p for p in one.children(tracer)]
        names = {**one.children(gateway), gateway: "lodge-gateway"}
        os.kill(gateway, signal.SIGTERM)  # strace does not hand a signal on
        assert one.gateway.wait(30) == 0
    finally:
        one.end(check=False)
    lines = []
    for line in text.splitlines():
        pid, when, what = line.split(None, 2)
        lines.append((float(when), names.get(int(pid), f"other {pid}"), what))
    return lines, int(one.facts["sshd_port"])


def test_only_the_dialer_connects(trace):
    lines, sshd = trace
    connects = [(n, w) for _, n, w in lines if w.startswith("connect(") and "AF_INET" in w]
    assert connects
    assert {n for n, _ in connects} == {"lodge-dialer"}, connects
    assert all(f"htons({sshd})" in w for _, w in connects), connects


def test_no_stream_no_socket(trace):
    """The socket is handed to the session only after the recorder's log was synced with it in hand."""
    lines, sshd = trace
    came = [t for t, n, w in lines if n == "lodge-recorder" and w.startswith(("recvmsg(", "<... recvmsg")) and "SCM_RIGHTS" in w and f":{sshd}" in w]
    went = [t for t, n, w in lines if n == "lodge-recorder" and w.startswith(("sendmsg(", "<... sendmsg")) and "SCM_RIGHTS" in w and f":{sshd}" in w]
    assert len(came) == 1 and len(went) == 1, (came, went)
    # libuv's threads do the syncing: they have ids of their own
    syncs = [t for t, n, w in lines if "recordings/wal" in w and ("fdatasync(" in w or "fsync(" in w)]
    assert [t for t in syncs if came[0] < t < went[0]], "no sync of the log between its coming and its going"
    book = [t for t, n, w in lines if "state/book" in w and ("fdatasync(" in w or "fsync(" in w)]
    assert [t for t in book if came[0] < t < went[0]], "the book was not synced before either"
    elsewhere = [
        (n, w) for _, n, w in lines if w.startswith("sendmsg(") and "SCM_RIGHTS" in w and f":{sshd}" in w
        and n not in ("lodge-recorder", "lodge-dialer")
    ]
    assert not elsewhere


def test_a_session_opens_no_file_and_no_socket(trace):
    lines, _ = trace
    sessions = {
        f"other {match.group(1)}"
        for _, n, w in lines
        if n == "lodge-session --parent" and (match := re.match(r"(?:clone\(|<\.\.\. clone resumed).* = (\d+)$", w))
    }
    assert sessions, "no session was seen"
    bad = [
        (n, w) for _, n, w in lines
        if n in sessions and (w.startswith(("openat(", "socket(", "connect(")))
        and "/dev/null" not in w  # libssh reads its known_hosts there
    ]
    assert not bad, bad[:10]
