#!/usr/bin/env python3
"""Makes vectors.h: proofs signed by a real ssh-agent with keys of every kind, FIDO ones by OpenSSH's sk-dummy
(package openssh-tests).  Run by hand when a kind is added; the tests read only what it wrote."""
import os, socket, struct, subprocess, sys, tempfile, time

SK = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"
KINDS = [  # name, ssh-keygen's words, agent flags, algorithm in the request
    ("ed25519", ["-t", "ed25519"], 0, "ssh-ed25519"),
    ("ecdsa256", ["-t", "ecdsa", "-b", "256"], 0, "ecdsa-sha2-nistp256"),
    ("ecdsa384", ["-t", "ecdsa", "-b", "384"], 0, "ecdsa-sha2-nistp384"),
    ("ecdsa521", ["-t", "ecdsa", "-b", "521"], 0, "ecdsa-sha2-nistp521"),
    ("rsa_sha256", ["-t", "rsa", "-b", "2048"], 2, "rsa-sha2-256"),
    ("rsa_sha512", ["-t", "rsa", "-b", "3072"], 4, "rsa-sha2-512"),
    ("rsa_sha1", ["-t", "rsa", "-b", "2048"], 0, "ssh-rsa"),
    ("rsa_short", ["-t", "rsa", "-b", "1024"], 4, "rsa-sha2-512"),
    ("dsa", ["-t", "dsa"], 0, "ssh-dss"),
    ("sk_ed25519", ["-t", "ed25519-sk", "-w", SK], 0, "sk-ssh-ed25519@openssh.com"),
    ("sk_ecdsa", ["-t", "ecdsa-sk", "-w", SK], 0, "sk-ecdsa-sha2-nistp256@openssh.com"),
    ("sk_ed25519_no_touch", ["-t", "ed25519-sk", "-w", SK, "-O", "no-touch-required"], 0, "sk-ssh-ed25519@openssh.com"),
    ("sk_ecdsa_no_touch", ["-t", "ecdsa-sk", "-w", SK, "-O", "no-touch-required"], 0, "sk-ecdsa-sha2-nistp256@openssh.com"),
]


def string(b):
    return struct.pack(">I", len(b)) + b


def ask(path, body):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(string(body))
        n = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))[0]
        return s.recv(n, socket.MSG_WAITALL)


def hexed(name, b):
    lines = [b[i:i + 48].hex() for i in range(0, len(b), 48)]
    return "\t.%s = " % name + "\n\t    ".join('"%s"' % x for x in lines) + ",\n"


def main():
    d = tempfile.mkdtemp()
    env = dict(os.environ, SSH_SK_PROVIDER=SK, SSH_AUTH_SOCK=d + "/agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", d + "/agent", "-P", SK], env=env, stdout=subprocess.DEVNULL)
    while not os.path.exists(d + "/agent"):
        time.sleep(0.05)
    session = bytes(range(32))
    host = string(b"ssh-ed25519") + string(bytes(range(100, 132)))
    out = ["/* Made by make_vectors.py. */\n", "static const struct vector vectors[] = {\n"]
    try:
        for name, words, flags, algorithm in KINDS:
            key = d + "/" + name
            subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", name, "-f", key] + words, env=env, check=True)
            subprocess.run(["ssh-add", "-q", key], env=env, check=True)
            blob = __import__("base64").b64decode(open(key + ".pub").read().split()[1])
            text = string(session) + b"\x32" + string(b"alice+osv1") + string(b"ssh-connection")
            bound = name in ("ed25519", "ecdsa256", "sk_ed25519")
            text += string(b"publickey-hostbound-v00@openssh.com" if bound else b"publickey") + b"\x01"
            text += string(algorithm.encode()) + string(blob) + (string(host) if bound else b"")
            got = ask(env["SSH_AUTH_SOCK"], b"\x0d" + string(blob) + string(text) + struct.pack(">I", flags))
            if got[0] != 14:
                sys.exit("%s: the agent refused to sign" % name)
            print_ = subprocess.run(["ssh-keygen", "-lf", key + ".pub"], env=env, check=True, capture_output=True, text=True)
            out += ["    {\n", '\t.name = "%s",\n\t.algorithm = "%s",\n' % (name, algorithm),
                    '\t.fingerprint = "%s",\n' % print_.stdout.split()[1], hexed("blob", blob), hexed("text", text),
                    hexed("signature", got[5:]), "    },\n"]
    finally:
        agent.terminate()
        agent.wait()
        subprocess.run(["rm", "-r", d])
    out.append("};\n")
    open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.h"), "w").write("".join(out))


main()
