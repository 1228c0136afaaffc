"""What scenes with hostile peers look at: somebody else's visit that must not notice, memory that must not grow, processes
that must not stay, recordings that must be good."""

import re
import time

import pytest
from site_of_lodge import Site, wait_for

QUARANTINE_KIB = 16 * 1024  # freed memory that the sanitizer keeps: less than it would, for memory is looked at here
GROWN_KIB = 16 * 1024  # what a session's buffers may come to


def watched_site(*words):
    return Site("--no-code", *words, env={"ASAN_OPTIONS": f"quarantine_size_mb={QUARANTINE_KIB // 1024}"})


class Beside:
    """Somebody else's visit, that goes on all the while."""

    def __init__(self, site, login):
        self.site = site
        self.one = site.begin(login, "cat")
        self.count = 0
        self.check()
        (self.session,) = site.sessions()

    def check(self):
        if self.one.poll() is None:
            self.count += 1
            line = b"line %d\n" % self.count
            self.one.stdin.write(line)
            self.one.stdin.flush()
            assert self.one.stdout.readline() == line

    def other(self):
        """The process of the one session that is not this one."""
        (session,) = [p for p in self.site.sessions() if p != self.session]
        return session

    def alone(self):
        """It did not notice, and no other session stays behind."""
        self.check()
        left = [] if self.session is None else [self.session]
        wait_for(lambda: self.site.sessions() == left, "the end of the other session")

    def end(self):
        """It ends; whatever was recorded beside it is whole and good."""
        self.one.stdin.close()
        assert self.one.wait(20) == 0
        self.session = None
        self.alone()
        site = self.site
        wait_for(lambda: all(r["state"] == "whole" for r in site.json("otto", "recordings")), "everything sealed")
        done = site.ssh("otto", "verify", "--all")
        assert done.returncode == 0, done.stdout + done.stderr


def memory_kib(pid):
    found = re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())
    return int(found.group(1)) if found else 0  # it is gone, or about to be


def stays_flat(beside, session):
    """Once it has settled, its memory grows no more, and the other visit goes on."""
    for _ in range(10):
        first = memory_kib(session)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            beside.check()
        if memory_kib(session) < first + 2048:
            return
    pytest.fail(f"its memory grows and grows: {memory_kib(session)} KiB")


def ask_without_reading(bare, session, packet):
    """Asks and asks (packet(): a question's bytes) until the other side closes, which it must before it has grown much."""
    memory = []
    try:
        while len(memory) < 1000:
            memory.append(memory_kib(session))
            bare.raw(b"".join(packet() for _ in range(1000)))
    except OSError:
        pass
    assert len(memory) < 1000, "it was never left"
    assert max(memory) < memory[0] + QUARANTINE_KIB + GROWN_KIB, memory
