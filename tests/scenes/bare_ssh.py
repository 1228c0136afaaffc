"""One end of an SSH connection, packet by packet, so that a scene can send what no proper client or server sends.

One key exchange (curve25519-sha256, ssh-ed25519, aes128-ctr, hmac-sha2-256; RFC 4253, RFC 8731), everything in the
caller's thread, nothing sent or answered by itself.
"""

import contextlib
import hashlib
import hmac
import os
import socket
import struct
import threading

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from paramiko import Message
from paramiko.common import (
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_FAILURE, MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST, MSG_KEXINIT, MSG_NEWKEYS, MSG_SERVICE_ACCEPT, MSG_SERVICE_REQUEST, MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_REQUEST, MSG_USERAUTH_SUCCESS)

MSG_GLOBAL_REQUEST, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE, MSG_CHANNEL_EXTENDED_DATA = 80, 81, 82, 95
MSG_KEX_ECDH_INIT, MSG_KEX_ECDH_REPLY = 30, 31
PATIENCE = 30  # seconds
RECEIVED = 65536  # bytes that a socket keeps for an end that does not read
ALGORITHMS = (b"curve25519-sha256", b"ssh-ed25519") + (b"aes128-ctr",) * 2 + (b"hmac-sha2-256",) * 2 + (b"none",) * 2
BLOCK = 16  # bytes of aes128-ctr; no packet is smaller


class Raw(bytes):
    """Bytes that go into a packet as they are."""


def packed(*fields):
    """u32 for a number, a byte for a truth, a string (RFC 4251 5) for text and bytes, Raw as it is."""
    m = Message()
    for one in fields:
        if isinstance(one, Raw):
            m.add_bytes(one)
        elif isinstance(one, bool):
            m.add_boolean(one)
        elif isinstance(one, int):
            m.add_int(one)
        else:
            m.add_string(one)
    return m.asbytes()


def mpint(number):
    m = Message()
    m.add_mpint(number)
    return Raw(m.asbytes())


def key_blob(public):
    return packed("ssh-ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def key_line(private):
    """As `lodge target --host-key` takes it."""
    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Gone(ConnectionError):
    """The other side closed."""


class Bare:
    def __init__(self, sock, host_key=None):
        """host_key: this end is the server."""
        self.sock, self.host_key = sock, host_key
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.own, self.other = b"SSH-2.0-bare", b""
        self.seal = self.open = None  # (cipher, key of the MAC) once keys are in use
        self.sent = self.got = 0
        self.identifier = None
        self.window = 0  # bytes that the other side takes in the channel opened last
        self.ahead = b""  # of the stream, read but not taken yet

    # ---- packets ----

    def _bytes(self, count):
        while len(self.ahead) < count:
            more = self.sock.recv(262144)
            if not more:
                raise Gone("the other side closed")
            self.ahead += more
        taken, self.ahead = self.ahead[:count], self.ahead[count:]
        return taken

    def sealed(self, payload, length=None):
        """A packet's bytes, as they go out next.  length: what it says of itself, in place of the truth."""
        block = 8 if self.seal is None else BLOCK
        padding = block - (len(payload) + 5) % block
        padding += block if padding < 4 else 0
        plain = struct.pack(">IB", len(payload) + padding + 1 if length is None else length, padding)
        plain += payload + bytes(padding)
        number, self.sent = self.sent, (self.sent + 1) & 0xFFFFFFFF
        if self.seal is None:
            return plain
        cipher, key = self.seal
        return cipher.update(plain) + hmac.digest(key, struct.pack(">I", number) + plain, "sha256")

    def raw(self, data):
        self.sock.sendall(data)

    def send(self, number, *fields):
        self.raw(self.sealed(bytes([number]) + packed(*fields)))

    def recv(self):
        """(number, Message) of the next packet."""
        first = self._bytes(BLOCK)
        if self.open is not None:
            first = self.open[0].update(first)
        (length,) = struct.unpack(">I", first[:4])
        rest = self._bytes(length + 4 - len(first))
        if self.open is not None:
            rest = self.open[0].update(rest)
            whole = struct.pack(">I", self.got) + first + rest
            mac = hmac.digest(self.open[1], whole, "sha256")
            assert hmac.compare_digest(self._bytes(32), mac), "a wrong MAC"
        self.got = (self.got + 1) & 0xFFFFFFFF
        plain = (first + rest)[4:]
        payload = plain[1 : len(plain) - plain[0]]
        return payload[0], Message(payload[1:])

    def until(self, *numbers):
        """Takes packets until one of those comes; gives it."""
        while True:
            number, m = self.recv()
            if number in numbers:
                return number, m

    def drain(self):
        """Takes all there is until the other side closes; gives the packets' numbers."""
        numbers = []
        with contextlib.suppress(ConnectionError):
            while True:
                numbers.append(self.recv()[0])
        return numbers

    def leave(self):
        """Closes so that what was sent arrives: a socket with bytes that nobody read is reset."""
        self.sock.shutdown(socket.SHUT_WR)
        self.drain()

    def close(self, reset=False):
        with contextlib.suppress(OSError):
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()

    # ---- keys ----

    def versions(self, before=b""):
        self.raw(before + self.own + b"\r\n")
        line = b""
        while not line.endswith(b"\n"):
            line += self._bytes(1)
        self.other = line.strip()

    def kexinit(self, lists=ALGORITHMS):
        return bytes([MSG_KEXINIT]) + os.urandom(16) + packed(*lists, "", "", False, 0)

    def exchange(self, sign=None, algorithms=ALGORITHMS):
        """One key exchange.  sign: makes the server's signature of the exchange hash."""
        ours = self.kexinit(algorithms)
        self.raw(self.sealed(ours))
        _, m = self.until(MSG_KEXINIT)
        theirs = bytes([MSG_KEXINIT]) + m.asbytes()
        mine = X25519PrivateKey.generate()
        point = mine.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        if self.host_key is None:
            digest, shared = self._exchange_client(ours, theirs, mine, point)
        else:
            digest, shared = self._exchange_server(ours, theirs, mine, point, sign or self.host_key.sign)
        self.identifier = self.identifier or digest
        self.send(MSG_NEWKEYS)
        self.seal = self._keys(shared, digest, "BDF" if self.host_key else "ACE")
        self.until(MSG_NEWKEYS)
        self.open = self._keys(shared, digest, "ACE" if self.host_key else "BDF")

    def _exchange_client(self, ours, theirs, mine, point):
        self.send(MSG_KEX_ECDH_INIT, point)
        _, m = self.until(MSG_KEX_ECDH_REPLY)
        blob, other, signature = m.get_binary(), m.get_binary(), Message(m.get_binary())
        shared = int.from_bytes(mine.exchange(X25519PublicKey.from_public_bytes(other)), "big")
        digest = hashlib.sha256(
            packed(self.own, self.other, ours, theirs, blob, point, other, mpint(shared))
        ).digest()
        assert signature.get_text() == "ssh-ed25519"
        Ed25519PublicKey.from_public_bytes(blob[-32:]).verify(signature.get_binary(), digest)
        return digest, shared

    def _exchange_server(self, ours, theirs, mine, point, sign):
        _, m = self.until(MSG_KEX_ECDH_INIT)
        other = m.get_binary()
        shared = int.from_bytes(mine.exchange(X25519PublicKey.from_public_bytes(other)), "big")
        blob = key_blob(self.host_key.public_key())
        digest = hashlib.sha256(
            packed(self.other, self.own, theirs, ours, blob, other, point, mpint(shared))
        ).digest()
        self.send(MSG_KEX_ECDH_REPLY, blob, point, packed("ssh-ed25519", sign(digest)))
        return digest, shared

    def _keys(self, shared, digest, letters):
        """(cipher, key of the MAC), RFC 4253 7.2."""
        iv, key, mac = (
            hashlib.sha256(packed(mpint(shared), Raw(digest), Raw(x.encode()), Raw(self.identifier))).digest()
            for x in letters
        )
        return Cipher(algorithms.AES(key[:16]), modes.CTR(iv[:16])).encryptor(), mac

    # ---- what is usual, for what stands before the unusual ----

    def let_in(self):
        """As a server: whoever shows a key is in."""
        self.until(MSG_SERVICE_REQUEST)
        self.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
        while True:
            _, m = self.until(MSG_USERAUTH_REQUEST)
            m.get_string(), m.get_string()
            if m.get_text() == "publickey" and m.get_boolean():
                self.send(MSG_USERAUTH_SUCCESS)
                return
            self.send(MSG_USERAUTH_FAILURE, "publickey", False)

    def opened(self, window=1 << 21, packet=32768):
        """As a server: the number that the other side gave to the channel that it opens; ours is 7."""
        _, m = self.until(MSG_CHANNEL_OPEN)
        m.get_string()
        number, self.window = m.get_int(), m.get_int()
        self.send(MSG_CHANNEL_OPEN_SUCCESS, number, 7, window, packet)
        return number

    def started(self, channel):
        """As a server: says yes to what is asked for in the channel, until something is to run."""
        while True:
            _, m = self.until(MSG_CHANNEL_REQUEST)
            m.get_int()
            name, wanted = m.get_text(), m.get_boolean()
            if wanted:
                self.send(MSG_CHANNEL_SUCCESS, channel)
            if name in ("shell", "exec", "subsystem"):
                return

    def heard(self):
        """Waits until the other side has read all that was sent."""
        self.send(MSG_GLOBAL_REQUEST, "keepalive@openssh.com", True)
        self.until(MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE)

    def finish(self, channel, status=0):
        """As a server: exit status, end, close, and waits for the other side's close."""
        self.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, status)
        self.send(MSG_CHANNEL_EOF, channel)
        self.send(MSG_CHANNEL_CLOSE, channel)
        self.until(MSG_CHANNEL_CLOSE)

    def proof(self, login, private, service="ssh-connection"):
        """As a client: the fields of a try with a key, and its signature (RFC 4252 7)."""
        blob = key_blob(private.public_key())
        fields = (login, service, "publickey", True, "ssh-ed25519", blob)
        text = packed(self.identifier, Raw(bytes([MSG_USERAUTH_REQUEST])), *fields)
        return fields, packed("ssh-ed25519", private.sign(text))

    def service(self):
        self.send(MSG_SERVICE_REQUEST, "ssh-userauth")
        self.until(MSG_SERVICE_ACCEPT)

    def log_in(self, login, private):
        self.service()
        fields, signature = self.proof(login, private)
        self.send(MSG_USERAUTH_REQUEST, *fields, signature)
        number, _ = self.until(MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE)
        assert number == MSG_USERAUTH_SUCCESS, f"{login} is not let in"

    def open_channel(self, kind="session", *fields, number=0, window=1 << 21, packet=32768):
        """As a client: the other side's number of a new channel; None when it is refused."""
        self.send(MSG_CHANNEL_OPEN, kind, number, window, packet, *fields)
        answer, m = self.until(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE)
        if answer == MSG_CHANNEL_OPEN_FAILURE:
            return None
        m.get_int()
        channel, self.window = m.get_int(), m.get_int()
        return channel

    def pour(self, block, count, channel, number=MSG_CHANNEL_DATA, *fields):
        """As often, within the window that the other side gives to this one channel."""
        for _ in range(count):
            while self.window < len(block):
                _, m = self.until(MSG_CHANNEL_WINDOW_ADJUST)
                m.get_int()
                self.window += m.get_int()
            self.send(number, channel, *fields, block)
            self.window -= len(block)

    def ask(self, channel, name, *fields):
        """As a client: a request in a channel; whether it is granted."""
        self.send(MSG_CHANNEL_REQUEST, channel, name, True, *fields)
        return self.until(MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE)[0] == MSG_CHANNEL_SUCCESS

    def said(self):
        """As a client of one channel: (standard output, standard error, exit status) until it closes."""
        out, err, status = b"", b"", None
        while True:
            number, m = self.recv()
            if number == MSG_CHANNEL_DATA:
                m.get_int()
                out += m.get_binary()
            elif number == MSG_CHANNEL_EXTENDED_DATA:
                m.get_int(), m.get_int()
                err += m.get_binary()
            elif number == MSG_CHANNEL_REQUEST:
                m.get_int()
                name, _ = m.get_text(), m.get_boolean()
                status = m.get_int() if name == "exit-status" else m.get_text() if name == "exit-signal" else status
            elif number == MSG_CHANNEL_CLOSE:
                return out, err, status

    def run(self, command):
        """As a client: a command in a new channel, to its end."""
        channel = self.open_channel()
        assert self.ask(channel, "exec", command)
        return self.said()


def connection(site):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
    sock.connect(("127.0.0.1", site.port))
    return sock


def client(site, login="alice+osv1", person="alice"):
    """A client of the site's, with keys in use, and logged in when a login name is given."""
    one = Bare(connection(site))
    one.versions()
    one.exchange()
    if login is not None:
        one.log_in(login, private_key(site, person))
    return one


def private_key(site, person):
    return load_ssh_private_key((site.dir / "clients" / person).read_bytes(), None)


class Target:
    """A server on a free port that does to each who comes what `play` does: play(bare)."""

    def __init__(self):
        self.key, self.play, self.trouble = Ed25519PrivateKey.generate(), None, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                one = Bare(self.listener.accept()[0], self.key)
                self.connections.append(one)
                threading.Thread(target=self._run, args=(one, self.play), daemon=True).start()

    def _run(self, one, play):
        try:
            play(one)
        except OSError:  # the other side left, as it may
            pass
        except BaseException as trouble:  # noqa: B902: told by the scene
            self.trouble = trouble
        finally:
            one.close()

    def end(self):
        """Leaves whoever is still there."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.sock.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def close(self):
        self.listener.close()
        self.end()
