"""Goal: what decide is told about somebody is theirs: no grant and no request of another person, target, account or
state reaches it, whatever the database holds.  decide itself does not compare these again.
"""
import itertools
import json
import os
import random
import subprocess

import oracle

JUDGE = os.path.join(os.environ.get("LODGE_UNIT", "/work/main/build/test/unit"), "facts_judge")
SEED = int(os.environ.get("LODGE_ORACLE_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
PERSONS = {"alice": "acme", "alic": "acme", "Alice": "bolt", "bob": "", "eve": "gone"}
VENDORS = ("acme", "bolt")
TARGETS = {"osv1": "srx,root", "osv": "root,srx", "osv11": "srx"}
ACCOUNTS = ("srx", "root", "sr", "")
OURS = ("person", "target", "account")


def rows_make(rnd):
    """Two of each state for each combination, in any order; the store numbers them as they come."""
    grants, requests = [], []
    for person, target, account in itertools.product(PERSONS, TARGETS, ("srx", "root")):
        theirs = {"person": person, "target": target, "account": account}
        grants += [{**theirs, "state": state, "ends_at": rnd.randrange(1, 1 << 40)} for state in range(5, 11) for _ in "12"]
        requests += [{**theirs, "state": state} for state in range(6) for _ in "12"]
    rnd.shuffle(grants)
    rnd.shuffle(requests)
    return grants, requests


def ask(path, rows, questions):
    lines = [rows[i:i + 50] for i in range(0, len(rows), 50)] + questions
    done = subprocess.run([JUDGE, path], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True)
    assert done.returncode == 0, f"seed {SEED}: {done.stderr[-4000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(grants, requests, person, target, account):
    there = oracle.account_of({"target": {"accounts": TARGETS.get(target, "")}, "account": account}) or account
    wanted = (person, target, there)
    alive = [(-row["ends_at"], number) for number, row in enumerate(grants, 1)
             if tuple(row[column] for column in OURS) == wanted and row["state"] in (oracle.SCHEDULED, oracle.OPEN)]
    asked = [number for number, row in enumerate(requests, 1) if row["state"] == oracle.ASKED and row["person"] == person]
    vendor = PERSONS.get(person, "")
    return {"person": person if person in PERSONS else "", "vendor": vendor if vendor in VENDORS else "",
            "target": target if target in TARGETS else "", "account": there,
            "grants": [number for _, number in sorted(alive)], "open_requests": len(asked),
            "pending": [n for n in asked if tuple(requests[n - 1][column] for column in OURS) == wanted]}


def test_the_facts_are_theirs(tmp_path):
    print(f"seed {SEED}")
    grants, requests = rows_make(random.Random(SEED))
    rows = [{"vendor": {"name": name}} for name in VENDORS]
    rows += [{"person": {"login": login, "vendor": vendor, "role": 1}} for login, vendor in PERSONS.items()]
    rows += [{"target": {"name": name, "accounts": accounts}} for name, accounts in TARGETS.items()]
    rows += [{"grant": row} for row in grants] + [{"request": row} for row in requests]
    questions = [list(words) for words in itertools.product([*PERSONS, "nobody"], [*TARGETS, "other"], ACCOUNTS)]
    got = ask(str(tmp_path / "policy.db"), rows, questions)
    for question, facts in zip(questions, got, strict=True):
        assert facts == expected(grants, requests, *question), f"seed {SEED}: {question}"
    assert sum(len(facts["grants"]) for facts in got) >= len(grants) // 3
