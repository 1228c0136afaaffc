"""Random people, vendors, targets, windows and clocks, thick at the edges: a case that is good in all, spoilt in some.

Every case is made from a random.Random alone, so its seed gives it again.
"""
WALL = 1_800_000_000_000  # 2027-01-15 08:00 UTC
BOOT = 100_000_000
HOUR = 3_600_000

SOURCES = ("192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7", "198.51.100.1", "2001:db8::7", "2001:db9::1", "::1", "",
           "203.0.113.255")
NETWORKS = ("", "", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "192.0.2.0/24,2001:db8::/32", "198.51.100.0/24",
            "192.0.2.8", "192.0.2.6/31", "192.0.2.8/29", "2001:db8::7", "0.0.0.0/0", "::/0", "203.0.113.0/24,192.0.2.7", "::/64",
            "::ffff:192.0.2.0/120", "::ffff:0:0/96", "198.51.100.1,::ffff:192.0.2.7")
FINGERPRINTS = ("SHA256:k1", "SHA256:k1", "SHA256:k1", "SHA256:k2", "SHA256:k", "")
FORWARDS = ("cmp:443", "cmp:443,10.0.0.7:8443", "xcmp:443", "cmp:4434", "[2001:db8::1]:443", "10.0.0.7:8443,cmp:443", "",
            "cmp:44,cmp:3")
PLACES = ("cmp:443", "cmp:443", "10.0.0.7:8443", "cmp:44", "[2001:db8::1]:443", "other:22")
# By design.md 4 and policy/DESIGN.md, "What a channel needs"; then what no channel needs today.
SHELL, EXEC, UPLOAD, DOWNLOAD, FORWARD, AGENT, X11, REVERSE, SOCKET = (1 << bit for bit in range(9))
NEEDS = ({"all": SHELL}, {"all": EXEC}, {"any": UPLOAD | DOWNLOAD}, {"all": UPLOAD}, {"all": DOWNLOAD}, {"all": SOCKET},
         {"all": REVERSE}, {"all": EXEC | AGENT}, {"all": SHELL | X11, "any": UPLOAD | DOWNLOAD})
MASKS = (15, 15, 1, 2, 4, 8, 31, 511, 0, 14, 496)


def edge(rnd, at):
    """A moment just before, on, just after, or far from `at`."""
    r = rnd.random()
    if r < 0.5:
        return at + int(r * 6) - 1  # -1, 0, 1 ms
    return at + int((r - 0.75) * 80 * HOUR)


def either(rnd, values):
    return values[int(rnd.random() * len(values))]


def good_grant(number, wall, boot):
    return {"id": number, "request": 100 + number, "person": "alice", "fingerprint": "SHA256:k1", "target": "osv1",
            "account": "srx", "capabilities": 15, "begins_at": wall - HOUR, "connect_by": wall + HOUR,
            "ends_at": wall + 2 * HOUR, "ends_boot": boot + 2 * HOUR, "hard_end_boot": boot + 2 * HOUR, "state": 7,
            "approver": "maria"}


def spoil_window(rnd, grant, wall, boot):
    """One thing about a grant, moved to an edge or to something else."""
    r = int(rnd.random() * 13)
    if r == 0:
        grant["begins_at"] = edge(rnd, wall)
    elif r == 1:
        grant["ends_at"] = edge(rnd, wall)
    elif r == 2:
        grant["ends_boot"] = edge(rnd, boot)
    elif r == 3:
        grant["connect_by"] = either(rnd, (0, edge(rnd, wall), edge(rnd, wall)))
    elif r == 4:
        grant["connect_by"] = edge(rnd, wall)
        grant["entered_at"] = wall - 1
    elif r == 5:
        grant["fingerprint"] = either(rnd, ("SHA256:k2", "SHA256:k", "SHA256:k11", ""))
    elif r == 6:
        grant["networks"] = either(rnd, NETWORKS)
    elif r == 7:
        grant["capabilities"] = int(rnd.random() * 512)
    elif r == 8:
        grant["capabilities"] = either(rnd, MASKS)
    elif r == 9:
        grant["forwards"] = either(rnd, FORWARDS)
        grant["capabilities"] |= FORWARD
    elif r == 10:  # not begun: all of it lies ahead
        begins = edge(rnd, wall + 10)
        grant.update(begins_at=begins, connect_by=begins + HOUR, ends_at=begins + 2 * HOUR, state=6)
    elif r == 11:
        grant["state"] = int(rnd.random() * 12)
    else:  # the clocks disagree: a suspended machine, a clock that was set
        grant["ends_at"], grant["ends_boot"] = edge(rnd, wall), edge(rnd, boot)


def windows(rnd, case):
    made = []
    for number in range(1, 2 + int(rnd.random() ** 2 * 4)):
        grant = good_grant(number, case["wall"], case["boot"])
        for _ in range(int(rnd.random() * 3.2)):
            spoil_window(rnd, grant, case["wall"], case["boot"])
        made.append(grant)
    case["grants"] = made


def asked(rnd, case):
    case["pending"] = [
        {"id": 50 + n, "person": "alice", "vendor": "acme", "target": "osv1", "account": "srx", "capabilities": 15,
         "fingerprint": either(rnd, FINGERPRINTS), "state": 1, "asked_at": case["wall"] - 60_000,
         "lapse_at": edge(rnd, case["wall"]), "lapse_boot": edge(rnd, case["boot"])}
        for n in range(1 + int(rnd.random() * 2))]


def spoil_validity(rnd, row, wall):
    r = int(rnd.random() * 4)
    if r == 0:
        row["suspended"] = 1
    elif r == 1:
        row["valid_from"] = edge(rnd, wall)
    elif r == 2:
        row["valid_until"] = edge(rnd, wall)
    else:
        row["networks"] = either(rnd, NETWORKS)


def spoil_clock(rnd, case):
    case["high_water"] = edge(rnd, case["wall"] + either(rnd, (0, 5000, 5000, HOUR)))


def spoil_person(rnd, case):
    r = rnd.random()
    if r < 0.04:
        case.pop("person", None)
        case.pop("vendor", None)
    elif "person" not in case:
        return
    elif r < 0.1:
        case["person"]["vendor"] = ""  # staff
        case.pop("vendor", None)
    elif r < 0.2:
        case["person"]["role"] = int(rnd.random() * 6)
    else:
        spoil_validity(rnd, case["person"], case["wall"])


def spoil_vendor(rnd, case):
    if rnd.random() < 0.1:
        case.pop("vendor", None)
    elif "vendor" in case:
        spoil_validity(rnd, case["vendor"], case["wall"])


def spoil_source(rnd, case):
    case["source"] = either(rnd, SOURCES)


def spoil_key(rnd, case):
    case["fingerprint"] = either(rnd, FINGERPRINTS)


def spoil_target(rnd, case):
    r = rnd.random()
    if r < 0.05:
        case.pop("target", None)
    elif "target" not in case:
        return
    elif r < 0.15:
        case["target"]["suspended"] = 1
    elif r < 0.25:
        case["host_keys"] = int(rnd.random() * 3)
    elif r < 0.5:
        case["target"]["fresh_code"] = 1
        case["factors"] = either(rnd, (0, 1, 3, 5, 9, 25, 37, 65, int(rnd.random() * 128)))
    elif r < 0.75:
        case["account"] = either(rnd, ("", "srx", "root", "sr", "srxx", "srx,root", "nobody", ",", "SRX", "%s%n%s", "x" * 64, "é" * 32))
        case["target"]["accounts"] = either(rnd, ("srx,root", "root,srx", "srx", "xsrx,srx", "root", "srxx,sr", ",srx", "srx," + "a" * 64 + ",%n"))
    else:
        case["target"].update(login=int(rnd.random() * 5), legacy=either(rnd, ("", "ssh-rsa", "ssh-rsa,3des-cbc")),
                              legacy_until=either(rnd, (0, edge(rnd, case["wall"]), case["wall"] + HOUR)))


def spoil_texts(rnd, case):
    """Long and hostile words, where people read them: nothing hangs on them."""
    words = either(rnd, ("%n%s%n", "\x1b]0;x\x07", "\u202e", "é" * 32, "x" * 64))
    for row, column in (("person", "login"), ("person", "vendor"), ("target", "name"), ("vendor", "name")):
        if row in case and rnd.random() < 0.5:
            case[row][column] = words
    for grant in case.get("grants", ()):
        grant.update(person=case.get("person", {}).get("login", ""), target=case.get("target", {}).get("name", ""),
                     approver=words)


def spoil_shelf(rnd, case):
    case["shelf"] = int(rnd.random() * 4)


def want(rnd, case):
    if rnd.random() < 0.6:
        case["need"] = dict(either(rnd, NEEDS))
    elif rnd.random() < 0.7:
        case["need"] = {"forward": either(rnd, PLACES)}
    else:
        case["need"] = {"all": int(rnd.random() * 512) & either(rnd, MASKS), "any": either(rnd, MASKS)}


def spoil_number(rnd, case):
    case["open_requests"] = either(rnd, (0, 1, 19, 20, 21))


SPOIL = (spoil_clock, spoil_person, spoil_person, spoil_vendor, spoil_vendor, spoil_source, spoil_source, spoil_key,
         spoil_target, spoil_target, spoil_shelf, spoil_number)


def case_make(rnd):
    wall = WALL + int(rnd.random() * 1000)
    boot = BOOT + int(rnd.random() * 1000)
    case = {"wall": wall, "boot": boot, "high_water": wall, "source": "192.0.2.7", "fingerprint": "SHA256:k1", "factors": 3,
            "host_keys": 1, "account": "srx", "waits": int(rnd.random() < 0.75),
            "person": {"login": "alice", "vendor": "acme", "role": 1}, "vendor": {"name": "acme"},
            "target": {"name": "osv1", "accounts": "srx,root", "login": 1}}
    for _ in range(int(rnd.random() ** 2 * 4)):
        either(rnd, SPOIL)(rnd, case)
    if rnd.random() < 0.9:
        windows(rnd, case)
    if rnd.random() < 0.05:
        spoil_texts(rnd, case)
    if rnd.random() < 0.3:
        asked(rnd, case)
    if rnd.random() < 0.8:
        want(rnd, case)
    return case


def answer_make(rnd):
    wall = WALL
    vendors = ("acme", "acme", "bolt", "", "acm", "acme2")
    who = {"login": either(rnd, ("maria", "maria", "alice", "mari")), "role": either(rnd, (2, 2, 2, 1, 3, 4, 0)),
           "vendor": either(rnd, ("", "", "acme", "bolt"))}
    answer = {"wall": wall, "approver": who, "requester_vendor": either(rnd, vendors),
              "request": {"id": 17, "person": either(rnd, ("alice", "maria")), "vendor": either(rnd, vendors), "state": 1}}
    if who["vendor"] and rnd.random() < 0.95:
        answer["vendor"] = {"name": who["vendor"]}
    for row in ("approver", "vendor"):
        if row in answer and rnd.random() < 0.25:
            spoil_validity(rnd, answer[row], wall)
    if rnd.random() < 0.05:
        answer.pop("approver")
        answer.pop("vendor", None)
    return answer


def tighten(rnd, case):
    """The same with one thing taken away: no no may become a yes by it.  What was done, and the new case."""
    less = dict(case)
    grants = less.get("grants", [])
    r = int(rnd.random() * 7)
    if r < 3:
        row = ("person", "vendor", "target")[r]
        if row in less:
            less[row] = dict(less[row], suspended=1)
        return row + " suspended", less
    if r == 3:
        less["high_water"] = less["wall"] + 5001
        return "clock behind", less
    if not grants:
        less.pop("vendor", None)
        return "vendor removed", less
    at = int(rnd.random() * len(grants))
    if r == 4:
        less["grants"] = grants[:at] + grants[at + 1:]
        return "a grant removed", less
    grant = dict(grants[at])
    s = int(rnd.random() * 6)
    if s == 0:
        grant["capabilities"] &= int(rnd.random() * 512)
    elif s == 1:
        grant["ends_at"] = grant["ends_at"] - 1
    elif s == 2:
        grant["ends_boot"] = grant["ends_boot"] - 1
    elif s == 3:
        grant["begins_at"] = grant["begins_at"] + 1
    elif s == 4:
        grant["networks"] = grant.get("networks") or "198.51.100.77"
    else:
        grant["forwards"] = ""
    less["grants"] = grants[:at] + [grant] + grants[at + 1:]
    return "a grant narrowed", less
