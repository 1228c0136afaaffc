"""Goal: whoever the people are, whatever was granted and whatever the clocks show, policy's decide says what an oracle
says that was written apart from it, and no path leads to a target outside an approved window.

decide_judge is decide as a filter.  LODGE_ORACLE_SEED gives a run again, LODGE_ORACLE_CASES makes it longer.
"""
import json
import os
import random
import subprocess
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import cases
import oracle

JUDGE = os.path.join(os.environ.get("LODGE_UNIT", "/work/main/build/test/unit"), "decide_judge")
CASES = int(os.environ.get("LODGE_ORACLE_CASES", 200_000))
SEED = int(os.environ.get("LODGE_ORACLE_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
CHUNK = 5000
AGAIN = 100  # of each chunk are asked again at its end
QUICKER = {"ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=1"}  # it frees what it reads, line by line
ALL_RULES = [name for name, _ in oracle.RULES] + ["window"]


def ask(questions):
    """What decide says of each."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([JUDGE], input=lines, capture_output=True, text=True, env={**os.environ, "TZ": "UTC", **QUICKER})
    assert done.returncode == 0, f"seed {SEED}: {done.stderr[-4000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- what must hold of a yes, each by itself, in no rule's order


def is_good(row, wall):
    return not row.get("suspended") and row.get("valid_from", 0) <= wall and wall < (row.get("valid_until") or wall + 1)


def broken_promise(case, grant):
    """The first promise that letting them in under this grant would break; None: none."""
    wall, boot, who, where = case["wall"], case["boot"], case["person"], case["target"]
    need, source, key = case.get("need", {}), case.get("source"), case.get("fingerprint")
    is_old = where.get("login") in (3, 4) or where.get("legacy")
    promises = (
        ("a window that is approved", grant["state"] in (6, 7)),
        ("from its beginning", grant["begins_at"] <= wall),
        ("to its end by the wall clock", wall < grant["ends_at"]),
        ("to its end by the boot clock", boot < grant["ends_boot"]),
        ("entered in time", grant.get("entered_at") or not grant["connect_by"] or wall < grant["connect_by"]),
        ("a clock that is not behind", wall >= case.get("high_water", 0) - 5000),
        ("of this person, in this target, as one of its accounts",
         (grant["person"], grant["target"]) == (who["login"], where["name"])
         and oracle.account_of(case) is not None),
        ("by this key", not key or grant["fingerprint"] in ("", key)),
        ("from there", not source or all(oracle.is_among(row.get("networks", ""), source)
                                         for row in (grant, who, case.get("vendor") or {}))),
        ("these capabilities", not need.get("all", 0) & ~grant["capabilities"]),
        ("one of these capabilities", not need.get("any") or need["any"] & grant["capabilities"]),
        ("this forward", not need.get("forward") or (grant["capabilities"] & 16 and
                                                     need["forward"] in grant["forwards"].split(","))),
        ("a person who may come", is_good(who, wall) and who["role"] == 1),
        ("a vendor that may send", not who["vendor"] or is_good(case.get("vendor", {"suspended": 1}), wall)),
        ("a target in use", not where.get("suspended")),
        ("a pinned host key", case["host_keys"] or need.get("forward")),
        ("what is old until its day", not is_old or need.get("forward") or wall < where["legacy_until"]),
        ("a code of its own", not where.get("fresh_code") or not case["factors"] or case["factors"] & 34),
        ("room to record", case.get("shelf", 0) < 2),
    )
    return next((name for name, holds in promises if not holds), None)


def fault_of(case, made):
    """What is wrong with decide's verdict; None: nothing."""
    said = oracle.judge(case)
    rules = made["rules"].split(",")
    failed = [rule[1:] for rule in rules if rule[0] == "!"]
    got = oracle.Verdict(made["outcome"], made["reason"], failed[0] if failed else "", made["grant"], made["request"])
    if got != said:
        return f"decide says {tuple(got)}, the oracle {tuple(said)}"
    if not made["agree"]:
        return "decide, decide_explain and decide again are not one"
    if [rule.lstrip("!") for rule in rules] != ALL_RULES[: len(rules)] or (failed and rules[-1] != "!" + failed[0]):
        return f"explain walks {rules}"
    if bool(failed) == (made["outcome"] == "ENTER"):
        return f"explain names {failed} as failed"
    if made["person"] != oracle.judge_person(case):
        return f"decide_person says {made['person']}"
    if made["outcome"] == "ENTER":
        under = [grant for grant in case["grants"] if grant["id"] == made["grant"]]
        promise = broken_promise(case, under[0]) if under else "a grant"
        if promise:
            return f"they enter without: {promise}"
    elif not made["text"] and made["reason"] != "none":
        return "a no without words"
    for grant, window in zip(case.get("grants", ()), made["windows"], strict=True):
        over, missed = oracle.is_over(grant, case["wall"], case["boot"]), oracle.is_missed(grant, case["wall"])
        if window != over + 2 * missed:
            return f"grant {grant['id']}: over {over} and missed {missed}, by the oracle"
    return None


def fault_of_answer(answer, made):
    said = oracle.judge_answer(answer)
    if made["reason"] != said:
        return f"decide_answer says {made['reason']}, the oracle {said}"
    if said != "none":
        return None
    who, request, wall = answer["approver"], answer["request"], answer["wall"]
    if who["role"] != 2 or who["login"] == request["person"] or not is_good(who, wall):
        return "a forbidden person approves"
    if who["vendor"] and (who["vendor"] in (request["vendor"], answer["requester_vendor"]) or
                          not is_good(answer["vendor"], wall)):
        return "somebody of a forbidden vendor approves"
    return None


def chunk_run(number):
    """Judges one chunk of cases.  Gives its faults, and what there was."""
    rnd = random.Random(f"{SEED}.{number}")
    made = [cases.case_make(rnd) for _ in range(CHUNK)]
    answers = [cases.answer_make(rnd) for _ in range(CHUNK // 10)]
    tighter = [(cases.tighten(rnd, case), case) for case in made[::3] if oracle.judge(case).outcome != "ENTER"]
    again = made[:AGAIN]
    got = iter(ask(made + [{"answer": answer} for answer in answers] + [case for (_, case), _ in tighter] + again))
    faults, seen = [], Counter()
    verdicts = [next(got) for _ in made]

    def note(fault, what):
        if fault:
            faults.append(f"seed {SEED}, chunk {number}: {fault}\n{json.dumps(what)}")

    for case, verdict in zip(made, verdicts):
        note(fault_of(case, verdict), case)
        seen[verdict["outcome"], verdict["reason"]] += 1
    for answer in answers:
        verdict = next(got)
        note(fault_of_answer(answer, verdict), answer)
        seen["answer", verdict["reason"]] += 1
    for (what, case), before in tighter:
        verdict = next(got)
        note(fault_of(case, verdict), case)
        if verdict["outcome"] == "ENTER":
            note(f"{what}: and a no becomes a yes", before)
        seen["tighter", what] += 1
    for case, verdict in zip(again, verdicts):
        note("asked again, decide says something else" if next(got) != verdict else None, case)
    return faults, seen


def test_decide_is_what_the_oracle_says():
    faults, seen = [], Counter()
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        for some, counts in workers.map(chunk_run, range(-(-CASES // CHUNK))):
            faults += some
            seen += counts
    for what, count in sorted(seen.items()):
        print(f"{count:8} {' '.join(what)}")
    print(f"{sum(seen.values())} cases, seed {SEED}")
    assert not faults, f"{len(faults)} faults, the shortest:\n" + min(faults, key=len)
    rare = [what for what in EVERY if seen[what] < CASES // 10_000]
    assert not rare, f"hardly any case of {rare}: this run proves little"


# Each outcome that there is, with each of its reasons: a run without them would prove nothing of it.
EVERY = [("ENTER", "none"), ("ASK", "waiting"), ("WAIT", "waiting"), ("WAIT", "not-yet")]
EVERY += [("REFUSE", reason) for reason in (
    "clock-behind unknown-person person-suspended person-expired vendor-suspended vendor-ended wrong-source role "
    "unknown-target unknown-account host-key legacy-ended fresh-code disk-full capability forward wrong-key not-yet "
    "no-grant not-waiting limit").split()]
EVERY += [("answer", reason) for reason in (
    "none role own-request own-vendor person-suspended person-expired vendor-suspended vendor-ended").split()]
EVERY += [("tighter", what) for what in (
    "person suspended", "vendor suspended", "target suspended", "clock behind", "a grant removed", "a grant narrowed")]
