"""Who may enter, said a second time: from the words of design.md 3 and 4, the manual pages and what `explain` prints,
not from decide.c.  A case is what decide.h calls facts, as a dict; a column that is 0 or "" may be missing.
"""
import ipaddress
from functools import lru_cache
from typing import NamedTuple

ENGINEER, MANAGER, AUDITOR, OPERATOR = 1, 2, 3, 4
ASKED = 1
SCHEDULED, OPEN = 6, 7
DISK_CRITICAL = 2  # "free room below which no new session begins"
FACTOR_PAM, FACTOR_FRESH = 2, 32
BY_PASSWORD = (3, 4)  # target.login: password, keyboard-interactive
CLOCK_SLACK = 5000
OPEN_REQUESTS = 20
FORWARD = 16


class Verdict(NamedTuple):
    outcome: str  # ENTER, WAIT, ASK, REFUSE
    reason: str  # reasons.def's code
    rule: str  # the one that `explain` shows as failed; "" when all passed
    grant: int = 0
    request: int = 0


MAPPED = ipaddress.ip_network("::ffff:0:0/96")


@lru_cache(maxsize=None)
def address_of(text):
    """None for what is no address.  An IPv4 address mapped into IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=None)
def network_of(text):
    """So does a network of nothing but such addresses."""
    network = ipaddress.ip_network(text)
    if network.version == 6 and network.subnet_of(MAPPED):
        return ipaddress.ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@lru_cache(maxsize=None)
def is_among(networks, source):
    """An empty list allows every address."""
    if not networks:
        return True
    address = address_of(source)
    return address is not None and any(address in network_of(part) for part in networks.split(","))


def is_within(now, begins, ends):
    """From its beginning on, and at its end no more; 0 means never."""
    return begins <= now and (not ends or now < ends)


# ---- the rules before the window, in the order in which explain prints them: a reason, or None


def clock(case):
    if case["wall"] < case.get("high_water", 0) - CLOCK_SLACK:
        return "clock-behind"


def person(case):
    who = case.get("person")
    if who is None:
        return "unknown-person"
    if who.get("suspended"):
        return "person-suspended"
    if not is_within(case["wall"], who.get("valid_from", 0), who.get("valid_until", 0)):
        return "person-expired"


def vendor(case):
    whose = case.get("vendor")
    if not case["person"].get("vendor"):
        return None  # staff
    if whose is None or whose.get("suspended"):  # a vendor that is no more opens nothing
        return "vendor-suspended"
    if not is_within(case["wall"], whose.get("valid_from", 0), whose.get("valid_until", 0)):
        return "vendor-ended"


def address(case):
    source = case.get("source", "")
    lists = [case[row].get("networks", "") for row in ("person", "vendor") if case.get(row)]
    if source and not all(is_among(networks, source) for networks in lists):
        return "wrong-source"


def role(case):
    if case["person"].get("role") != ENGINEER:
        return "role"


def target(case):
    if case.get("target") is None or case["target"].get("suspended"):
        return "unknown-target"


def account(case):
    if account_of(case) is None:
        return "unknown-account"


def is_forward(case):
    """It goes to a place, not into the target: no login there, and no host key."""
    return case.get("need", {}).get("forward") is not None


def host_key(case):
    if not is_forward(case) and not case.get("host_keys"):
        return "host-key"


def login(case):
    """What is old is allowed until the day of --legacy-until; from then on nobody enters."""
    what = case["target"]
    is_old = what.get("login") in BY_PASSWORD or what.get("legacy")
    if is_old and not is_forward(case) and case["wall"] >= what.get("legacy_until", 0):
        return "legacy-ended"


def code(case):
    """One of this connection's own, given at its login or since then; no factors: nobody's connection."""
    factors = case.get("factors", 0)
    if case["target"].get("fresh_code") and factors and not factors & (FACTOR_PAM | FACTOR_FRESH):
        return "fresh-code"


def recording(case):
    if case.get("shelf", 0) >= DISK_CRITICAL:
        return "disk-full"


RULES = (
    ("clock", clock),
    ("person", person),
    ("vendor", vendor),
    ("address", address),
    ("role", role),
    ("target", target),
    ("account", account),
    ("host key", host_key),
    ("login", login),
    ("code", code),
    ("recording", recording),
)
PERSON_RULES = ("person", "vendor", "address")  # for the login: whatever they want


def account_of(case):
    """The one that is wanted; without a name, the target's first."""
    there = [name for name in case["target"].get("accounts", "").split(",") if name]
    wanted = case.get("account", "")
    if not wanted:
        return there[0] if there else None
    return wanted if wanted in there else None


# ---- the window


def is_over(grant, wall, boot):
    """At the earlier of its two ends."""
    return wall >= grant.get("ends_at", 0) or boot >= grant.get("ends_boot", 0)


def is_missed(grant, wall):
    """Nobody came within ConnectWithin."""
    return not grant.get("entered_at") and bool(grant.get("connect_by")) and wall >= grant["connect_by"]


def is_alive(case, grant):
    """Approved, and neither over, nor missed, nor taken or given back."""
    wall = case["wall"]
    return grant.get("state") in (SCHEDULED, OPEN) and not is_over(grant, wall, case["boot"]) and not is_missed(grant, wall)


def refusal(case, grant):
    """Why a grant that is alive does not let them in now; None: it does."""
    source, fingerprint, need = case.get("source", ""), case.get("fingerprint", ""), case.get("need", {})
    have, any_of = grant.get("capabilities", 0), need.get("any", 0)
    given_to = grant.get("fingerprint", "")  # "": asked on the box, by no key
    if fingerprint and given_to and given_to != fingerprint:
        return "wrong-key"
    if source and not is_among(grant.get("networks", ""), source):
        return "wrong-source"
    if need.get("all", 0) & ~have or (any_of and not any_of & have):
        return "capability"
    if is_forward(case) and not (have & FORWARD and need["forward"] in grant.get("forwards", "").split(",")):
        return "forward"
    if case["wall"] < grant.get("begins_at", 0):
        return "not-yet"
    return None


DISTANCE = {None: 0, "not-yet": 1, "capability": 2, "forward": 2, "wrong-key": 3, "wrong-source": 4}


def window(case):
    """Any grant that lets them in; else what the one that came nearest says; without any, a request is waited for or made."""
    waits = bool(case.get("waits"))
    alive = [(refusal(case, g), g["id"]) for g in case.get("grants", ()) if is_alive(case, g)]
    if alive:
        reason, grant = min(alive, key=lambda found: DISTANCE[found[0]])
        if reason is None:
            return Verdict("ENTER", "none", "", grant)
        if reason == "not-yet" and waits and not is_forward(case):
            return Verdict("WAIT", reason, "window", grant)
        return Verdict("REFUSE", reason, "window", grant)
    if is_forward(case):
        return Verdict("REFUSE", "no-grant", "window")
    if not waits:
        return Verdict("REFUSE", "not-waiting", "window")
    if case.get("pending"):
        return Verdict("WAIT", "waiting", "window", 0, case["pending"][0]["id"])
    if case.get("open_requests", 0) >= OPEN_REQUESTS:
        return Verdict("REFUSE", "limit", "window")
    return Verdict("ASK", "waiting", "window")


def judge(case):
    for name, rule in RULES:
        reason = rule(case)
        if reason:
            return Verdict("REFUSE", reason, name)
    return window(case)


def judge_person(case):
    for name, rule in RULES:
        if name in PERSON_RULES:
            reason = rule(case)
            if reason:
                return reason
    return "none"


def judge_answer(answer):
    """Separation of duties: the requester, anyone of the same vendor (as it was when asked, and as it is now), and root
    never approve; nor does who is suspended, expired, or of a vendor that is."""
    who, request = answer.get("approver"), answer["request"]
    if who is None or who.get("role") != MANAGER:
        return "role"
    alone = {"wall": answer["wall"], "person": who, "vendor": answer.get("vendor")}
    reason = person(alone) or vendor(alone)
    if reason:
        return reason
    if who["login"] == request["person"]:
        return "own-request"
    if who.get("vendor") and who["vendor"] in (request.get("vendor"), answer.get("requester_vendor")):
        return "own-vendor"
    return "none"
