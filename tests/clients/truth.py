"""What the target says that it received and sent (tap, and sftp-server's log), and whether a recording says the same.

Nothing here asks Lodge, or counts what a session says of itself: the two sides are the target's bytes and the bytes
that the reading key gets out of the shelf.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import re
import signal

SFTP_SERVER = "/usr/lib/openssh/sftp-server -e -l VERBOSE"
STREAMS = ("in", "out", "err")


def digest(path):
    """What sha256sum prints for this file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@dataclasses.dataclass
class Heard:
    """One session of the target's sshd."""

    command: str  # None: a login shell
    has_terminal: bool
    streams: dict  # {"in": bytes, ...}; empty with a terminal
    sftp_log: str = ""
    status: int = None

    def asked(self):
        if self.command is None:
            return ("shell", None)
        if self.command == SFTP_SERVER:
            return ("subsystem", "sftp")
        return ("exec", self.command)


def heard_open(entry):
    """From tap's ENTRY.json; None: it is not over yet."""
    facts = json.loads(entry.read_text())
    if not facts.get("ended"):
        return None
    look = (
        lambda suffix: entry.with_suffix(f".{suffix}").read_bytes() if entry.with_suffix(f".{suffix}").exists() else b""
    )
    streams = {} if facts["terminal"] else {name: look(name) for name in STREAMS}
    return Heard(
        facts["command"], facts["terminal"], streams, look("log").decode(errors="replace"), facts.get("status")
    )


def asked_of(recording, channel):
    """Heard.asked(), as a recording has it; ("forward", "host:port from") besides."""
    for fact in recording.facts():
        if fact["channel"] == channel and fact["kind"] in ("shell", "exec", "subsystem", "forward"):
            text = fact.get("bytes")
            return (fact["kind"], None if text is None else text.decode(errors="surrogateescape"))
    return ("nothing", None)


def ended_of(recording, channel):
    """Heard.status, as a recording has it; None: the client was gone before it was told."""
    for fact in recording.facts():
        if fact["channel"] == channel and fact["kind"] == "exit":
            return fact["status"]
        if fact["channel"] == channel and fact["kind"] == "signal":
            return -signal.Signals[f"SIG{fact['text']}"]
    return None


# ---- bytes ----


def difference(target, recorded, early=False):
    """None when they are the same; else where they part.  early: one of them may end before the other does."""
    if target == recorded:
        return None
    shorter = min(len(target), len(recorded))
    if target[:shorter] == recorded[:shorter]:
        return (
            None
            if early
            else f"target has {len(target)} bytes, recording {len(recorded)}, the first {shorter} the same"
        )
    low, high = 0, shorter  # the first byte that differs lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if target[:middle] == recorded[:middle] else (low, middle)
    return f"byte {low} differs; target has {len(target)} bytes, recording {len(recorded)}"


def _as_carried(asked, streams):
    """What of a recorded channel must have reached the target.  One number of an sftp client's is changed on its way, by
    design (session/sftp.h): the recording has the version that was offered, the target got at most 3."""
    sent = streams["in"]
    if asked != ("subsystem", "sftp") or sent[:8] != b"\0\0\0\5\1\0\0\0":
        return streams
    return dict(streams, **{"in": sent[:8] + bytes([min(sent[8], 3)]) + sent[9:]})


def _one_compare(one, recorded, early):
    _, streams, ended = recorded
    wrong = [f"{n}: {d}" for n in one.streams if (d := difference(one.streams[n], streams[n], early)) is not None]
    if None not in (ended, one.status) and ended != one.status:
        wrong.append(f"ended with {one.status}, and {ended} was recorded")
    return wrong


def streams_compare(heard, recorded, early=False):
    """heard: of the target.  recorded: [(asked, {stream: bytes}, ended)].  Gives what is wrong, a line each."""
    wrong = []
    left = [(asked, _as_carried(asked, streams), ended) for asked, streams, ended in recorded]
    for one in heard:
        same = [r for r in left if r[0] == one.asked()]
        if not same:
            wrong.append(f"not recorded: {one.asked()}")
            continue
        tries = [(r, _one_compare(one, r, early)) for r in same]
        best, trouble = min(tries, key=lambda t: len(t[1]))
        left.remove(best)
        wrong.extend(f"{one.asked()}: {line}" for line in trouble)
    wrong.extend(f"recorded, but never at the target: {r[0]}" for r in left)
    return wrong


# ---- files ----

_CLOSE = re.compile(r'^(?:forced )?close "(.*)" bytes read (\d+) written (\d+)$')
_CHANGE = re.compile(r"^(remove|mkdir|rmdir|rename|posix-rename|symlink|hardlink)\b")


def _plain(text):
    """A log shows bytes that are no ASCII as \\ooo."""
    octal = lambda m: bytes([int(m[1], 8)]) if m[1] != b"\\" else b"\\"
    return re.sub(rb"\\([0-7]{3}|\\)", octal, text.encode()).decode(errors="surrogateescape")


def sftp_log_files(log):
    """[(path, bytes read, bytes written)], as sftp-server closed them."""
    return [(_plain(m[1]), int(m[2]), int(m[3])) for line in log.splitlines() if (m := _CLOSE.match(line.strip()))]


def sftp_log_changes(log):
    """{"mkdir": 2, ...}: operations that went well or not."""
    return collections.Counter(
        m[1].removeprefix("posix-") for line in log.splitlines() if (m := _CHANGE.match(line.strip()))
    )


def ledger_compare(heard, files, operations):
    """sftp-server's logs against the ledger's facts; gives what is wrong, a line each."""
    wrong = []
    logged = collections.Counter()
    changes = collections.Counter()
    for one in heard:
        logged.update(sftp_log_files(one.sftp_log))
        changes.update(sftp_log_changes(one.sftp_log))
    for copy in (o for o in operations if o["op"] == "copy"):  # within the target: nothing was carried
        for path in (copy["path"], copy["to"]):
            for entry in [e for e in logged if e[0] == path]:
                logged[path, 0, 0] += logged.pop(entry)
    entered = collections.Counter()
    for f in files:
        if f["result"].startswith("failed") and f["bytes"] == 0 and not logged[f["path"], 0, 0]:
            continue  # never opened there, so never closed
        up = f["bytes"] if f["op"] == "upload" else f.get("written", 0)
        down = f["bytes"] if f["op"] == "download" else f.get("read", 0)
        entered[f["path"], down, up] += 1
    for what, count in (logged - entered).items():
        wrong.append(f"sftp-server closed {what} {count} times more than the ledger says")
    for what, count in (entered - logged).items():
        wrong.append(f"the ledger has {what} {count} times more than sftp-server closed it")
    told = collections.Counter(o["op"].removeprefix("posix-") for o in operations)
    for what in changes:
        if told[what] != changes[what]:
            wrong.append(f"{what}: {changes[what]} in sftp-server's log, {told[what]} in the ledger")
    return wrong


def carried_compare(op, path, home, files):
    """Is there an entry of this file with the digest that sha256sum prints for it now?  scp's may name a directory, and
    then what the source called the file (session/transfer.h).  A file that the client never closed is unfinished, but its
    bytes went: so its digest must stand there too."""
    path = pathlib.Path(path)
    called = lambda f: [pathlib.Path(home, f["path"]), pathlib.Path(home, f["path"], f.get("name", ""))]
    mine = [f for f in files if f["op"] == op and path in called(f)]
    if not mine:
        return [f"no ledger entry: {op} {path}; there are {len(files)}: {[(f['op'], f['path']) for f in files[:3]]}"]
    size, hashed = path.stat().st_size, digest(path)
    told = lambda f: f["sha256"] == hashed or (size == 0 and f["sha256"] is None)  # some clients read no empty file
    good = [f for f in mine if f["bytes"] == size and told(f) and f["result"] in ("ok", "unfinished")]
    return [] if good else [f"{op} {path}: target has {size} bytes, {hashed}; ledger {mine}"]
