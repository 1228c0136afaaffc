"""How long after its end each of many live sessions has ended, as its client sees it: a real house, real ssh clients.

    bench_ends.py [SESSIONS]        (200)        tests/bench/run ends

Three rounds, each with all of them in: the window's end on the clock, `revoke` of the one window that all share, and
`end --all`.  A client has seen its end when it has ended.  Printed, never asserted.
"""

import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import re
import select
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scenes"))
from site_of_lodge import Site, wait_for  # noqa: E402

PEOPLE = 20
COMING = 8  # at once
MARIA = 64211
FIRST_UID = 64300


def engineers_make(s):
    config = []
    for i in range(PEOPLE):
        key = s.dir / f"clients/e{i}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        done = s.lodge(
            "person", "add", f"e{i}", "--vendor", "unify", "--role", "engineer", "--uid", str(FIRST_UID + i),
            "--key", key.with_suffix(".pub").read_text().strip(),
        )
        assert done.returncode == 0, done.stderr
        config.append(f'Match user "e{i},e{i}+*"\n    IdentityFile {key}\n')
    with open(s.dir / "ssh_config", "a") as f:
        f.write("".join(config))


def window(s, person, *how):
    """A window for this engineer; its number."""
    asked = s.lodge("request", "osv1", "--for", "1h", "--json", uid=FIRST_UID + person)
    assert asked.returncode == 0, asked.stderr
    number = str(json.loads(asked.stdout)["request"])
    said = s.lodge("approve", number, *how, uid=MARIA)
    assert said.returncode == 0, said.stderr
    return number


def ends_at(s, number):
    """The end of a window, in seconds since 1970."""
    shown = json.loads(s.lodge("show", number, "--json", uid=MARIA).stdout)
    return datetime.datetime.fromisoformat(shown["ends"].replace("Z", "+00:00")).timestamp()


def come(s, i, person):
    """One of them: in, with `cat` running on the target."""
    options = ("-T", "-o", f"BindAddress=127.0.0.{2 + i % 100}")
    one = s.begin(f"e{person}+osv1", "echo in; exec cat", options=options)
    line = one.stdout.readline()
    assert line == b"in\n", (line, one.stderr.read() if one.poll() is not None else "")
    return one


def crowd(s, count, person_of):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(COMING) as pool:
        clients = list(pool.map(lambda i: come(s, i, person_of(i)), range(count)))
    print(f"  {count} sessions came in {time.monotonic() - began:.0f} s", flush=True)
    return clients


def watch(clients, act):
    """Calls act() in a thread, and waits until all clients have ended; each one's moment, in seconds since 1970."""
    poll, ended = select.poll(), {}
    for one in clients:
        fd = os.pidfd_open(one.pid)
        ended[fd] = None
        poll.register(fd, select.POLLIN)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        left = len(ended)
        until = time.monotonic() + 240
        while left and time.monotonic() < until:
            for fd, _ in poll.poll(1000):
                ended[fd] = time.time()
                poll.unregister(fd)
                os.close(fd)
                left -= 1
        acting.result()
    assert not left, f"{left} of them are still in"
    return sorted(ended.values())


def say(name, end, moments, clients):
    late = [m - end for m in moments]
    p99 = late[min(len(late) - 1, len(late) * 99 // 100)]
    print(f"{name:<12} {len(late):5} {statistics.median(late):8.3f} {p99:8.3f} {late[0]:8.3f} {late[-1]:8.3f}", end="")
    reasons = {}
    for one in clients:
        err = one.stderr.read().decode(errors="replace")
        word = err[err.index("[") + 1 : err.index("]")] if "lodge: ended [" in err else "?"
        key = f"{word} {one.wait()}"
        reasons[key] = reasons.get(key, 0) + 1
    print("  ", ", ".join(f"{n} {what}" for what, n in reasons.items()), flush=True)


def nobody_in(s):
    wait_for(lambda: not s.sessions(), "the end of all sessions' processes", 60)


def by_clock(s, count):
    until = datetime.datetime.now() + datetime.timedelta(seconds=60 + count * 0.6)
    until = (until + datetime.timedelta(minutes=1)).replace(second=0, microsecond=0)
    numbers = [window(s, i, "--until", until.strftime("%Y-%m-%dT%H:%M")) for i in range(PEOPLE)]
    clients = crowd(s, count, lambda i: i % PEOPLE)
    end = ends_at(s, numbers[0])
    assert time.time() < end - 1, "they came too late: fewer sessions, please"
    say("clock", end, watch(clients, lambda: None), clients)
    nobody_in(s)


def by_verb(s, count, name, words_of, person_of):
    numbers = [window(s, i, "--for", "1h") for i in range(PEOPLE)]
    clients = crowd(s, count, person_of)
    moment = []

    def act():
        time.sleep(1)
        moment.append(time.time())
        done = s.lodge(*words_of(numbers), uid=MARIA)
        assert done.returncode == 0, done.stderr

    moments = watch(clients, act)
    say(name, moment[0], moments, clients)
    nobody_in(s)
    for number in numbers:
        s.lodge("revoke", number, uid=MARIA)


def main(count=200):
    limits = {"PerSourceMaxConnections": count + 10, "MaxStartups": 200, "PenaltyLeast": 0}
    s = Site("--no-code", *(w for k, v in limits.items() for w in ("--set", f"{k}={v}")))
    try:
        engineers_make(s)
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        machine = model.group(1) if model else platform.machine()
        print(f"{machine}, {os.cpu_count()} cores, Linux {platform.release()}; one round each of {count} sessions")
        print("seconds after the end     median      p99    least     most")
        by_clock(s, count)
        by_verb(s, count, "revoke", lambda numbers: ("revoke", numbers[0]), lambda i: 0)
        by_verb(s, count, "end --all", lambda numbers: ("end", "--all"), lambda i: i % PEOPLE)
    finally:
        s.end(check=False)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
