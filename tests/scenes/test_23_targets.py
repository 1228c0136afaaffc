"""However a target lets people in, the engineer types the same, and sees no secret.

Certificate, key, password, keyboard-interactive; OpenSSH 9.2 and Dropbear; one that knows old algorithms alone, allowed until
a day.  What lets us in stands in the recording, but never the password.  A host key that changes ends the visit and is kept
as evidence.
"""

import datetime
import re
import subprocess

import pytest
from bare_ssh import (
    MSG_CHANNEL_DATA, MSG_SERVICE_ACCEPT, MSG_SERVICE_REQUEST, MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST,
    MSG_USERAUTH_SUCCESS, Ed25519PrivateKey, Target, key_line)
from other_targets import PASSWORD, STRONG, UNTIL, WHY, fingerprint, key_make, lent, public

MSG_USERAUTH_INFO_REQUEST, MSG_USERAUTH_INFO_RESPONSE = 60, 61
OLD_WORDS = "diffie-hellman-group1-sha1,3des-cbc,hmac-sha1,ssh-rsa"


@pytest.fixture(scope="module")
def h(request):
    yield from lent(request)


# ---- each way in ----

def by_key(h, name, where, kind, *more):
    """A key that is made elsewhere and given to the vault."""
    private = key_make(h.site.dir / f"{name}_key", kind, *more)
    with open(h.home / ".ssh/authorized_keys", "a") as keys:
        keys.write(public(private) + "\n")
    h.own()
    h.add(name, where, "key")
    h.secret(name, private.read_text(), "--key")
    return "key", "publickey"


def openssh_key(h, name):
    return by_key(h, name, h.sshd(name, "PasswordAuthentication no", "UsePAM no"), "ed25519")


def openssh_rsa_key(h, name):
    return by_key(h, name, h.sshd(name, "PasswordAuthentication no", "UsePAM no"), "rsa", "-b", "2048")


def openssh_generated_key(h, name):
    h.add(name, h.sshd(name, "PasswordAuthentication no", "UsePAM no"), "key")
    said = h.lodge("secret", "generate", f"{name}+{h.user}")
    with open(h.home / ".ssh/authorized_keys", "a") as keys:
        keys.write(re.search(r"ssh-ed25519 AAAA\S+", said).group(0) + "\n")
    return "key", "publickey"


def by_password(h, name, where, login="password"):
    h.add(name, where, login, *WHY)
    h.secret(name, STRONG)
    return login, login


def openssh_password(h, name):
    return by_password(h, name, h.sshd(name, "UsePAM no", *PASSWORD))


def openssh_password_of_pam(h, name):
    return by_password(h, name, h.sshd(name, "UsePAM yes", *PASSWORD))


def openssh_keyboard(h, name):
    return by_password(h, name, h.sshd(name, "UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes",
                                       "PubkeyAuthentication no"), "keyboard-interactive")


def openssh_certificate(h, name):
    h.add(name, h.sshd(name, "UsePAM no", "PasswordAuthentication no", f"TrustedUserCAKeys {h.site.dir}/osv1/lodge_ca.pub"),
          "certificate")
    return "certificate", "publickey"


def dropbear_key(h, name):
    return by_key(h, name, h.dropbear(name, "-s"), "ed25519")


def dropbear_rsa_key(h, name):
    return by_key(h, name, h.dropbear(name, "-s"), "rsa", "-b", "2048")


def dropbear_password(h, name):
    return by_password(h, name, h.dropbear(name))


WAYS = (openssh_key, openssh_rsa_key, openssh_generated_key, openssh_password, openssh_password_of_pam, openssh_keyboard,
        openssh_certificate, dropbear_key, dropbear_rsa_key, dropbear_password)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
def test_a_way_in(h, way):
    name = way.__name__.replace("_", "-")
    login, method = way(h, name)
    h.enters(name)
    kept = h.recorded(name)
    (fact,) = kept.facts("login")
    assert (fact["how"], fact["method"]) == (login, method)
    assert fact["host_key"].startswith("SHA256:") and fact["kex"] and fact["cipher"] and fact["mac"]
    assert STRONG not in str(kept.facts())
    h.stop(name)


# ---- what is refused, and the words for it ----


def test_a_target_that_trusts_no_ca_says_what_it_takes(h):
    where = h.sshd("no-ca", "UsePAM no", *PASSWORD)
    h.add("no-ca", where, "certificate")
    h.refused("no-ca", "target-login", f"no-ca refuses the gateway's certificate for {h.user}; it takes: password")
    h.lodge("target", "change", "no-ca", "--login", "password", *WHY)
    h.refused("no-ca", "vault", "no secret for this account")
    h.secret("no-ca", "another word")
    h.refused("no-ca", "target-login", f"no-ca refuses the gateway's password for {h.user}; it takes: password")
    h.secret("no-ca", STRONG)
    h.enters("no-ca")
    h.lodge("target", "change", "no-ca", "--login", "keyboard-interactive")
    h.refused("no-ca", "target-login", "it takes: password")
    h.stop("no-ca")


@pytest.fixture(scope="module")
def bare(h):
    """A target that says what no proper one would."""
    one = Target()
    h.add("bare", (one.port, key_line(one.key)), "keyboard-interactive", *WHY)
    h.secret("bare", STRONG)
    yield one
    one.close()


def asked(b):
    b.versions()
    b.exchange()
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    b.until(MSG_USERAUTH_REQUEST)


def asks(b, *prompts):
    """A round of questions; the answers."""
    b.send(MSG_USERAUTH_INFO_REQUEST, "\x1b]0;name\x07", "\x1b[31minstruction", "", len(prompts),
           *(field for prompt in prompts for field in prompt))
    _, m = b.until(MSG_USERAUTH_INFO_RESPONSE)
    return [m.get_text() for _ in range(m.get_int())]


def runs(b, out=b"hello\n"):
    channel = b.opened()
    b.started(channel)
    b.send(MSG_CHANNEL_DATA, channel, out)
    b.finish(channel)


def test_questions_in_rounds(h, bare):
    def play(b):
        asked(b)
        assert asks(b) == []
        assert asks(b, ("Password: ", False)) == [STRONG]
        assert asks(b) == []
        b.send(MSG_USERAUTH_SUCCESS)
        runs(b)

    bare.play = play
    assert h.visit("bare").stdout == b"hello\n"
    assert bare.trouble is None, bare.trouble


def echoed(b):
    asks(b, ("Password: ", True))


def one_of_two_echoed(b):
    asks(b, ("Password: ", False), ("Name: ", True))


def asked_for_ever(b):
    while True:
        asks(b, ("Password: ", False))


@pytest.mark.parametrize("question", (echoed, one_of_two_echoed, asked_for_ever), ids=lambda q: q.__name__)
def test_no_password_for_such_questions(h, bare, question):
    """What is shown as it is typed is no password's place, and three rounds are enough."""
    def play(b):
        asked(b)
        question(b)

    bare.play = play
    h.refused("bare", "target-login", f"bare asks for more than the password of {h.user}")
    bare.end()


def test_more_than_a_password(h, bare):
    def play(b):
        asked(b)
        asks(b, ("Password: ", False))
        b.send(MSG_USERAUTH_FAILURE, "publickey", True)
        b.drain()

    bare.play = play
    h.refused("bare", "target-login", "bare wants more than the gateway's password", "it takes: publickey")
    bare.end()


def test_one_that_leaves_at_the_question(h, bare):
    bare.play = asked
    h.refused("bare", "target-login", "bare ended the connection at the sight of the gateway's password")
    bare.end()


# ---- host keys ----


def evidence(h, name, shown, pinned, at):
    kept = h.recorded(name)
    (fact,) = kept.facts("host_key")
    assert fact["shown"] == shown and sorted(fact["pinned"]) == sorted(pinned) and fact["at"] == at, fact
    assert kept.facts("end")[-1]["code"] == "host-key"
    assert any(fingerprint(shown) in str(e) for e in h.site.events(action="target.host-key"))


def test_another_host_key_at_the_login(h):
    config = ("UsePAM no", "PasswordAuthentication no", f"TrustedUserCAKeys {h.site.dir}/osv1/lodge_ca.pub")
    port, first = h.sshd("moved", *config)
    h.add("moved", (port, first), "certificate")
    h.enters("moved")
    h.stop("moved")
    (h.site.dir / "moved/host_ed25519").unlink()
    (h.site.dir / "moved/host_ed25519.pub").unlink()
    _, second = h.sshd("moved", *config, port=port)
    h.refused("moved", "host-key", f"moved showed the host key {fingerprint(second)}", f"pinned are {fingerprint(first)}",
              "do not go on", status=76)
    evidence(h, "moved", second, [fingerprint(first)], "login")
    # During a change both are good.
    h.lodge("target", "change", "moved", "--host-key", second)
    h.enters("moved")
    h.lodge("target", "change", "moved", "--remove-host-key", fingerprint(first))
    h.enters("moved")
    h.stop("moved")


def begins_again_with(key):
    def play(b):
        b.versions()
        b.exchange()
        b.let_in()
        channel = b.opened()
        b.started(channel)
        b.heard()
        b.host_key = key
        b.exchange()
        b.drain()

    return play


def test_another_host_key_at_a_rekey(h, bare):
    """Also one that is pinned, for it is not the one that it began with."""
    first, second, stranger = bare.key, Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    h.lodge("target", "change", "bare", "--login", "certificate", "--host-key", key_line(second))
    pinned = re.findall(r"SHA256:[^ ,\n]+", h.lodge("target", "show", "bare"))
    for key in (second, stranger):
        bare.play = begins_again_with(key)
        h.refused("bare", "host-key", fingerprint(key_line(key)), "it began with another", status=76)
        bare.end()
    evidence(h, "bare", key_line(stranger), pinned, "rekey")
    bare.key = second
    bare.play = lambda b: (b.versions(), b.exchange(), b.let_in(), runs(b))
    assert h.visit("bare").stdout == b"hello\n"
    bare.key = first


def test_another_host_key_while_the_password_is_changed(h, bare):
    """Nobody is in any more, and nothing was typed; it is told all the same."""
    stranger = Ed25519PrivateKey.generate()
    h.lodge("target", "change", "bare", "--login", "keyboard-interactive", *WHY)
    h.lodge("secret", "rotate", f"bare+{h.user}", "--when", "once")

    def play(b):
        asked(b)
        asks(b, ("Password: ", False))
        b.send(MSG_USERAUTH_SUCCESS)
        runs(b)
        b.started(b.opened())
        b.host_key = stranger
        b.exchange()
        b.drain()

    bare.play = play
    assert h.visit("bare").stdout == b"hello\n"
    shown = h.lodge("target", "show", "bare").split("showed")[0]
    evidence(h, "bare", key_line(stranger), re.findall(r"SHA256:[^ ,\n]+", shown), "rekey")


# ---- old algorithms ----

OLD_CONFIG = ("UsePAM no", "KexAlgorithms diffie-hellman-group1-sha1", "Ciphers 3des-cbc", "MACs hmac-sha1",
              "HostKeyAlgorithms ssh-rsa", "PubkeyAcceptedAlgorithms ssh-rsa", *PASSWORD)


def test_old_algorithms(h):
    """One that knows nothing else is named what is missing, one by one; then it is entered, and nobody else is."""
    where = h.sshd("old", *OLD_CONFIG, key=("rsa", "-b", "1024"))
    h.add("old", where, "password", *WHY)
    h.secret("old", STRONG)
    words = OLD_WORDS.split(",")
    for count, text in enumerate(("no key exchange in common: it has diffie-hellman-group1-sha1",
                                  "no cipher in common: it has 3des-cbc", "no MAC in common: it has hmac-sha1")):
        # In the order in which an exchange looks: kex, host key, cipher, MAC.
        allowed = ",".join((["ssh-rsa"] + words[:count]) if count else ["none"])
        h.lodge("target", "change", "old", "--legacy", allowed)
        h.refused("old", "no-common", text)
    h.lodge("target", "change", "old", "--legacy", words[0])
    h.refused("old", "no-common", "no kind of host key in common: it has ssh-rsa")
    h.lodge("target", "change", "old", "--legacy", OLD_WORDS)
    h.enters("old")
    (fact,) = h.recorded("old").facts("login")
    assert (fact["kex"], fact["cipher"], fact["mac"]) == ("diffie-hellman-group1-sha1", "3des-cbc", "hmac-sha1")
    assert sorted(fact["legacy"].split(",")) == sorted(words)
    vendor = subprocess.run(h.site.words("alice", options=("-o", "KexAlgorithms=diffie-hellman-group14-sha1")),
                            capture_output=True, text=True, timeout=60)
    assert vendor.returncode == 255 and "no matching key exchange method" in vendor.stderr


# ---- last, for it turns the clock ----


def test_what_was_allowed_until_a_day(h):
    until = (datetime.datetime.now() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    h.lodge("target", "change", "old", "--legacy-until", until)
    h.enters("old")
    h.site.turn(2 * 3600)
    h.refused("old", "legacy-ended", status=77)
    h.lodge("target", "change", "old", "--legacy-until", UNTIL)
    h.enters("old")
