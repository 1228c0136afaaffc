"""Every process of the house may be killed at any moment; whoever is in goes on.

1. alice is in three times at once: she is sent much, she sends much, and she does both with a new key exchange for each
   quarter of a megabyte.  policy, auth, book, reader, dialer, recorder are killed, each ten times at random moments:
   no byte is lost, none comes twice, exit statuses are right, and the recordings hold what she was sent.
2. Her shell stays at her fingertips meanwhile; who waits for a yes still gets it.
3. What was half done is done once: a request that the book has not acknowledged is told to nobody; a decision that
   policy could not hand out any more is handed out by the next.
4. gateway killed: sessions say why they end, the recorder seals and leaves, and the next gateway finds it all good.

The moments come from a seed that is printed; LODGE_SEED=N repeats them.
"""

import hashlib
import inspect
import io
import json
import os
import random
import re
import signal
import subprocess
import tarfile
import threading
import time

import pytest
from site_of_lodge import DAEMONS, PATIENCE, wait_for

SITE_WORDS = ("--no-code", "--set", "MFAGrace=0")
SEED = int(os.environ.get("LODGE_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = 10
BLOCK = 4096
ALL_AT_ONCE = 20  # seconds that three streams may need for their last bytes


def block(n):
    """The n-th piece of a stream: none is like another, so that what is lost or doubled shows."""
    return (f"{n:08d} " + hashlib.shake_256(str(n).encode()).hexdigest(2043) + "\n").encode()


def pour(to, per_second, enough):
    """Writes pieces at a pace until enough() says so; gives how many."""
    n, began = 0, time.monotonic()
    while not enough(n):
        to.write(block(n))
        to.flush()
        n += 1
        ahead = n / per_second - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    return n


# What runs on osv1: pieces until the file appears.
FLOW = f"""
import hashlib, os, sys, time
{inspect.getsource(block)}
{inspect.getsource(pour)}
n = pour(sys.stdout.buffer, float(sys.argv[1]), lambda n: n >= 64 and os.path.exists(sys.argv[2]))
sys.stderr.write(f"poured {{n}}\\n")
sys.exit(7)
"""


def digest(count):
    h = hashlib.sha256()
    for n in range(count):
        h.update(block(n))
    return h.hexdigest()


class Going:
    """A command of alice's that goes on: what it is sent and what it sends, each in a thread of its own."""

    def __init__(self, site, command, options=(), pour_in=0):
        self.site, self.command = site, command
        self.out, self.err, self.sent = bytearray(), bytearray(), None
        self.enough = threading.Event()
        self.ssh = site.begin("alice+osv1", command, options=("-T", *options))
        self.threads = [
            threading.Thread(target=self._take, args=(self.ssh.stdout, self.out)),
            threading.Thread(target=self._take, args=(self.ssh.stderr, self.err)),
        ]
        if pour_in:
            self.threads.append(threading.Thread(target=self._send, args=(pour_in,)))
        for one in self.threads:
            one.start()

    @staticmethod
    def _take(pipe, to):
        while piece := os.read(pipe.fileno(), 65536):
            to += piece

    def _send(self, per_second):
        try:
            self.sent = pour(self.ssh.stdin, per_second, lambda n: n >= 64 and self.enough.is_set())
            self.ssh.stdin.close()
        except BrokenPipeError:
            pass

    def end(self, status):
        self.enough.set()
        try:
            got = self.ssh.wait(ALL_AT_ONCE)
        except subprocess.TimeoutExpired:
            self.ssh.kill()
            got = "none: it hangs"
        for one in self.threads:
            one.join()
        said = self.err.decode(errors="replace")
        assert got == status, f"{self.command}: exit status {got}, {len(self.out)} bytes came; it said: {said}"
        return said


def same(got, count, what):
    """That `got` is the first `count` pieces, and where not."""
    want = b"".join(map(block, range(count)))
    if bytes(got) == want:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    raise AssertionError(
        f"{what}: {len(got)} bytes of {len(want)}; they differ at {at} (piece {at // BLOCK}): "
        f"{bytes(got[at - 30 : at + 50])} is not {want[at - 30 : at + 50]}"
    )


def ready_count(s, name):
    return s.log().count(f"lodge-{name} is ready")


def kill(s, name):
    """Kills a daemon, and waits until its successor is ready; gives how long that took."""
    before, began = ready_count(s, name), time.monotonic()
    os.kill(s.pid(name), signal.SIGKILL)
    wait_for(lambda: ready_count(s, name) > before, f"another lodge-{name}")
    return time.monotonic() - began


def export(s, number):
    """A recording as its bundle holds it: {name: content}."""
    done = s.ssh("otto", "export", str(number))
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        return {m.name.split("/", 1)[1]: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}


def opened(s, sealed):
    """What stock age and zstd make of a segment."""
    return subprocess.run(
        f"age -d -i {s.dir}/etc/reading.age | zstd -dc", shell=True, input=sealed, capture_output=True, check=True
    ).stdout.decode()


def recorded(s, files, track):
    """All that a recording holds of one track ("" or "input."), in order, by stream: {"out": bytes, ...}."""
    found, recovered = {}, 0
    numbers = sorted(
        {m.group(1) for name in files if (m := re.fullmatch(rf"{re.escape(track)}(\d{{6}})\.(cast\.zst\.age|wal)", name))}
    )
    assert numbers == [f"{n:06d}" for n in range(len(numbers))], numbers
    for number in numbers:
        if f"{track}{number}.wal" in files:
            recovered += 1
            (name,) = (n for n in files if n.startswith(f"derived/{track}{number}."))
            text = files[name].decode() if name.endswith(".cast") else opened(s, files[name])
        else:
            text = opened(s, files[f"{track}{number}.cast.zst.age"])
        stream = "out"
        for line in text.splitlines()[1:]:
            if line.startswith("#C "):
                stream = json.loads(line[3:])["stream"]
            elif line.startswith("["):
                _, kind, what = json.loads(line)
                if kind in "oi":
                    found[stream] = found.get(stream, b"") + what.encode()
    return found, recovered


@pytest.fixture(scope="module")
def site(request):
    from conftest import kept
    from site_of_lodge import Site

    yield from kept(request, Site(*SITE_WORDS, env={"LODGE_DEBUG": "1"}))


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    (site.dir / "osv1/home/flow.py").write_text(FLOW)
    print(f"LODGE_SEED={SEED}")
    return site


# ---- 1: three streams at once ----


@pytest.mark.parametrize("name", DAEMONS)
def test_1_nothing_is_lost_and_nothing_comes_twice(s, name):
    moments = random.Random(f"{SEED} {name}")
    print(f"LODGE_SEED={SEED}")
    stop = s.dir / f"osv1/home/stop.{name}"
    out = Going(s, f"python3 flow.py 300 stop.{name}; exit $?")
    into = Going(s, f"sha256sum; exit 5 # {name}", pour_in=200)
    both = Going(s, f"cat; exit 6 # {name}", options=("-o", "RekeyLimit=256K"), pour_in=150)
    wait_for(lambda: out.out and both.out, "the first bytes")
    away = []
    for _ in range(KILLS):
        time.sleep(moments.uniform(0, 0.3))
        away.append(kill(s, name))
    print(f"lodge-{name} was away for", *(f"{x:.2f}" for x in away), "s")
    stop.touch()
    into.enough.set()
    both.enough.set()
    said = out.end(7)
    poured = int(re.search(r"poured (\d+)", said).group(1))
    same(out.out, poured, "what she was sent")
    into.end(5)
    assert into.out.decode().split()[0] == digest(into.sent), "what the target was sent"
    both.end(6)
    same(both.out, both.sent, "what she was sent back")
    for one in (out, into, both):
        assert "lodge:" not in one.err.decode(), one.err
    rows = {r["what"]: r for r in s.sealed(3)}
    for one in (out, into, both):
        row = wait_for(
            lambda: next(r for r in s.json("otto", "recordings") if r["what"] == one.command and "digest" in r),
            "its recording",
        )
        files = export(s, row["number"])
        found, recovered = recorded(s, files, "")
        print(row["state"], row["segments"], "segments,", recovered, "recovered")
        assert found["out"] == bytes(one.out), "the recording is not what she was sent"
        if one.sent:
            found, _ = recorded(s, files, "input.")
            same(b"".join(found.values()), one.sent, "the recording of what she sent")
    assert len(rows) >= 3


def test_1_all_of_it_verifies(s):
    said = s.verb("otto", "verify", "--all")
    assert "sealed" in said or "recovered" in said
