"""Every process of the house may be killed at any moment; whoever is in goes on.

1. alice is in three times at once: she is sent much, she sends much, and she does both with a new key exchange for each
   64 KiB.  policy, auth, book, reader, dialer, recorder are killed, each ten times at random moments:
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
from conftest import kept
from site_of_lodge import DAEMONS, PATIENCE, Site, wait_for

SITE_WORDS = ("--no-code",)
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
        except BrokenPipeError:
            pass
        self.ssh.stdin.close()
        self.ssh.stdin = None  # which Popen.communicate would flush

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
    """How many of them have been ready since the site began."""
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
    out = Going(s, f"python3 flow.py 160 stop.{name}; exit $?")
    into = Going(s, f"sha256sum; exit 5 # {name}", pour_in=60)
    rekeys = ("-o", "RekeyLimit=64K", "-o", "LogLevel=DEBUG1")
    both = Going(s, f"cat; exit 6 # {name}", options=rekeys, pour_in=60)
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
    same(out.out, int(re.search(r"poured (\d+)", said).group(1)), "what she was sent")
    into.end(5)
    assert into.out.decode().split()[0] == digest(into.sent), "what the target was sent"
    said = both.end(6)
    same(both.out, both.sent, "what she was sent back")
    assert said.count("SSH2_MSG_NEWKEYS received") > KILLS, "there were hardly any rekeys"
    for one in (out, into, both):
        assert not re.search("^lodge: ", one.err.decode(), re.M), one.err
    rows = wait_for(lambda: recordings_of(s, out, into, both), "three sealed recordings")
    for one, row in zip((out, into, both), rows):
        print(one.command, row["state"], row["segments"], "segments", row["bytes_out"], "bytes out")
        assert row["state"] in ("whole", "recovered" if name == "recorder" else "whole")
    if name == "recorder":
        for one, row in zip((out, into, both), rows):
            holds(s, export(s, row["number"]), one)


def recordings_of(s, *going):
    rows = {r["what"]: r for r in s.json("otto", "recordings") if r["state"] in ("whole", "recovered")}
    return [rows[one.command] for one in going] if all(one.command in rows for one in going) else None


def holds(s, files, one):
    """A recording holds what she was sent and what she sent: all, in order, once."""
    found, recovered = recorded(s, files, "")
    print(one.command, recovered, "recovered from the log")
    assert found["out"] == bytes(one.out), "the recording is not what she was sent"
    if one.sent:
        found, _ = recorded(s, files, "input.")
        same(b"".join(found.values()), one.sent, "the recording of what she sent")


def test_1_killed_again_before_it_is_ready(s):
    """A start is a moment like any other: what it takes up of its predecessor is not lost when it dies over it."""
    moments = random.Random(f"{SEED} again")
    print(f"LODGE_SEED={SEED}")
    out = Going(s, "python3 flow.py 150 stop.again; exit $?")
    wait_for(lambda: out.out, "the first bytes")
    for name in ("recorder", "book", "policy", "auth", "recorder"):
        for _ in range(2):
            os.kill(s.pid(name), signal.SIGKILL)
            time.sleep(moments.uniform(0.02, 0.2))
        kill(s, name)
    (s.dir / "osv1/home/stop.again").touch()
    said = out.end(7)
    same(out.out, int(re.search(r"poured (\d+)", said).group(1)), "what she was sent")
    (row,) = wait_for(lambda: recordings_of(s, out), "its recording")
    holds(s, export(s, row["number"]), out)


def test_1_all_of_it_verifies(s):
    s.verb("otto", "verify", "--all")


# ---- 2: at her fingertips ----


def test_2_a_shell_goes_on(s):
    alice = s.shell()
    for n, name in enumerate(("policy", "auth", "recorder", "book", "dialer", "reader", "recorder", "policy")):
        os.kill(s.pid(name), signal.SIGKILL)
        before = time.monotonic()
        alice.sendline(f"echo $(({n} + 4200))")
        alice.expect(rf"\r{n + 4200}\r\n")
        assert time.monotonic() - before < 2, f"without lodge-{name} her terminal stood still"
        alice.setwinsize(30 + n, 100)
        alice.sendline("stty size")
        alice.expect_exact(f"{30 + n} 100")
        s.pid(name)
    alice.sendline("exit 9")
    alice.expect(r"recording [0-9a-f]{32}, \d+ segments?, SHA256SUMS [0-9a-f]{64}")
    alice.wait()
    assert alice.exitstatus == 9


def test_2_who_waits_gets_the_yes(make_site):
    s = make_site(*SITE_WORDS)
    alice = Going(s, "echo here; exit 4")
    wait_for(lambda: b"asked of maria" in alice.err, "her waiting")
    for name in ("policy", "auth", "recorder", "policy", "book", "policy"):
        s.kill(name)
    assert alice.ssh.poll() is None
    said = s.verb("maria", "requests")
    assert said.count("alice") == 1, said
    s.approve(1)
    said = alice.end(4)
    assert alice.out == b"here\n"
    assert said.count("asked of maria") == 1, said
    assert len(s.events(action="request.asked")) == 1
    assert len(s.events(action="request.approved")) == 1


# ---- 3: half done ----


def frozen(s, name):
    pid = s.pid(name)
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_3_nothing_is_told_before_the_book_has_it(make_site):
    s = make_site(*SITE_WORDS)
    # a request
    book = frozen(s, "book")
    asking = s.begin("alice", "request", "osv1", "--for", "1h", "--why", "a scene")
    time.sleep(1)
    assert asking.poll() is None
    assert select_ready(asking.stdout) == b"", "she was told of a request that the book does not have"
    os.kill(book, signal.SIGKILL)
    out, err = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 0, err
    assert b"request 1" in out
    assert len(s.events(action="request.asked")) == 1
    # a decision
    alice = Going(s, "echo here; exit 4")
    wait_for(lambda: b"asked of maria" in alice.err, "her waiting")
    book = frozen(s, "book")
    deciding = on_the_box(s, "approve", "1")
    time.sleep(1)
    assert deciding.poll() is None, deciding.communicate()
    assert not alice.out
    os.kill(book, signal.SIGKILL)
    out, err = deciding.communicate(timeout=PATIENCE)
    assert deciding.returncode == 0, err
    alice.end(4)
    assert len(s.events(action="request.approved")) == 1


def select_ready(pipe):
    os.set_blocking(pipe.fileno(), False)
    try:
        return os.read(pipe.fileno(), 4096)
    except BlockingIOError:
        return b""
    finally:
        os.set_blocking(pipe.fileno(), True)


def on_the_box(s, *words):
    """A verb of maria's by the control socket, which needs no connection that gateway would have to accept."""
    as_maria = ["setpriv", "--reuid", "64211", "--regid", "64211", "--clear-groups"]
    one = subprocess.Popen(
        [*as_maria, s.dir / "lib/lodge", "-s", s.control, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    s.terminals.append(one)
    return one


def test_3_a_decision_outlives_policy(make_site):
    """gateway is held still: it cannot acknowledge the lease, so policy dies between its decision and the lease."""
    s = make_site(*SITE_WORDS)
    alice = Going(s, "echo here; exit 4")
    wait_for(lambda: b"asked of maria" in alice.err, "her waiting")
    policy = s.pid("policy")
    os.kill(s.gateway.pid, signal.SIGSTOP)
    deciding = on_the_box(s, "approve", "1")
    out, err = deciding.communicate(timeout=PATIENCE)
    assert deciding.returncode == 0, err
    time.sleep(0.5)
    assert not alice.out, "a session went on without gateway's own copy of the lease"
    os.kill(policy, signal.SIGKILL)
    os.kill(s.gateway.pid, signal.SIGCONT)
    alice.end(4)
    assert alice.out == b"here\n"
    assert len(s.events(action="request.approved")) == 1
    assert len(s.events(action="visit.begun")) == 1


def test_3_a_verb_is_done_once(make_site):
    """policy or the book dies over a request: she is answered by the next, and there is one request, not two."""
    s = make_site(*SITE_WORDS)
    moments = random.Random(f"{SEED} verb")
    print(f"LODGE_SEED={SEED}")
    for n in range(1, 7):
        asking = s.begin("alice", "request", "osv1", "--for", f"{n}h", "--why", f"reason {n}")
        time.sleep(moments.uniform(0.02, 0.15))
        s.kill("book" if n % 3 == 0 else "policy")
        out, err = asking.communicate(timeout=PATIENCE)
        print(asking.returncode, out, err)
        assert asking.returncode == 0, err
        assert re.search(rf"request {n}\b", out.decode()), out
        s.verb("alice", "withdraw", str(n))
    assert len(s.events(action="request.asked")) == 6


ENTERINGS = 5


@pytest.mark.parametrize("name", DAEMONS)
def test_3_killed_while_she_enters(s, name):
    """She comes in, in the end or at once, or is told clearly that she does not; what she runs, runs once or not at all."""
    moments = random.Random(f"{SEED} enter {name}")
    print(f"LODGE_SEED={SEED}")
    for n in range(ENTERINGS):
        ran = s.dir / f"osv1/home/ran.{name}.{n}"
        alice = s.begin("alice+osv1", f"echo x >>ran.{name}.{n}; echo in; exit 3")
        time.sleep(moments.uniform(0, 0.25))
        kill(s, name)
        out, err = alice.communicate(timeout=PATIENCE)
        print(alice.returncode, out, err)
        times = ran.read_text().count("x") if ran.exists() else 0
        if alice.returncode == 3:
            assert (out, times) == (b"in\n", 1), (out, err, times)
            continue
        assert name == "auth", f"{alice.returncode}: {err}"
        assert times == 0
        assert alice.returncode == 255, (alice.returncode, err)
        assert re.search(rb"closed by|lodge-auth", err), err
    again = s.ssh("alice+osv1", "echo in")
    assert (again.returncode, again.stdout) == (0, b"in\n"), again.stderr


def test_3_a_login_while_auth_is_away(s):
    auth = frozen(s, "auth")
    alice = s.begin("alice+osv1", "echo in")
    time.sleep(0.5)
    assert alice.poll() is None
    os.kill(auth, signal.SIGKILL)
    out, err = alice.communicate(timeout=PATIENCE)
    print(alice.returncode, out, err)
    assert (alice.returncode, out) == (0, b"in\n") or (alice.returncode == 255 and b"closed" in err), err
    again = s.ssh("alice+osv1", "echo in")
    assert (again.returncode, again.stdout) == (0, b"in\n"), again.stderr


def test_3_recorder_killed_while_nobody_is_in(s):
    wait_for(lambda: not s.sessions(), "that everybody has left")
    before = {r["id"]: r["digest"] for r in s.json("otto", "recordings")}
    kill(s, "recorder")
    assert s.ssh("alice+osv1", "echo in").stdout == b"in\n"
    after = {r["id"]: r.get("digest") for r in s.json("otto", "recordings")}
    assert before.items() <= after.items()


def test_3_all_of_it_verifies(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] == "live"], "that all is sealed")
    s.verb("otto", "verify", "--all")
    # what one policy wrote to the outbox and the next sent: each once, and whole
    events = s.events("otto")
    begun = [e for e in events if e["event"]["action"] == "visit.begun"]
    ended = [e for e in events if e["event"]["action"] == "visit.ended"]
    print(len(begun), len(ended), len(s.json("otto", "recordings")))
    assert len(begun) == len(ended) == len(s.json("otto", "recordings"))


# ---- 4: the end of gateway ----


def test_4_gateway_killed(make_site):
    s = make_site(*SITE_WORDS)
    s.granted("8h")
    (s.dir / "osv1/home/flow.py").write_text(FLOW)
    shell = s.shell()
    out = Going(s, "python3 flow.py 200 stop")
    waiting = s.begin("maria", "events", "--follow")
    wait_for(lambda: len(out.out) > 100 * BLOCK, "her bytes")
    children = s.children()
    s.gateway.kill()
    s.gateway.wait()
    shell.expect_exact("lodge: ended [house-closing]")
    said = out.end(124)
    assert re.search(r"^lodge: ended \[house-closing\]", said, re.M), said
    waiting.wait(PATIENCE)
    for pid, name in children.items():
        wait_for(lambda: not s._lives(pid), f"the end of {name} ({pid})")
    s.start()
    rows = s.sealed(2)
    assert {r["state"] for r in rows} == {"whole"}, rows
    s.verb("otto", "verify", "--all")
    row = next(r for r in rows if "flow" in r["what"])
    found, _ = recorded(s, export(s, row["number"]), "")
    assert found["out"].startswith(bytes(out.out))
    assert s.ssh("alice+osv1", "echo in").stdout == b"in\n"


def test_4_a_gateway_that_is_started_again_at_once(make_site):
    """The recorder of the one that was killed still holds the shelf: the new one waits for it."""
    s = make_site(*SITE_WORDS)
    s.granted("8h")
    s.shell()
    s.gateway.kill()
    s.gateway.wait()
    s.start()
    assert s.ssh("alice+osv1", "echo in").stdout == b"in\n"
    s.sealed(2)
    s.verb("otto", "verify", "--all")
