/* Bundles: see bundle.h. */
#include "format/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "format/proof.h"
#include "format/sums.h"

enum { META_MAX = 16 * 1024 * 1024 };

int
bundle_own(const char *name)
{
	static const char *const own[] = {
	    BUNDLE_README, BUNDLE_SCRIPT, BUNDLE_META, BUNDLE_REQUEST, BUNDLE_DERIVED, BUNDLE_PROOF};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(name, own[i]) == 0)
			return (1);
	return (0);
}

const char bundle_readme[] =
    "This is one recorded visit, as Lodge exported it.\n"
    "\n"
    "Is it whole and unaltered?   sh verify.sh          (sha256sum and openssl; no Lodge, no network)\n"
    "                             lodge-replay verify .  [--identity KEY] [--key LOG.PUB]\n"
    "See it again:                lodge-replay play . --identity KEY\n"
    "By hand, one segment:        age -d -i KEY 000000.cast.zst.age | zstd -d > 000000.cast\n"
    "                             (asciicast version 3; any player of that format plays it)\n"
    "\n"
    "NNNNNN.cast.zst.age          what the terminal showed, in pieces that each stand alone\n"
    "input.NNNNNN.cast.zst.age    what was typed, perhaps sealed to other people\n"
    "NNNNNN.wal                   a piece recovered after a crash, as it lay in the log; derived/ has the same as\n"
    "                             an ordinary segment, made at the export and so not covered by SHA256SUMS\n"
    "index.json                   when each piece begins and ends; no content\n"
    "SHA256SUMS                   every file above; its own hash stands in proof/end.json\n"
    "meta.json                    who, what and why; its hash stands in proof/start.json\n"
    "request.json                 request and approval as policy knew them at the export\n"
    "proof/                       two leaves of the book, their inclusion proofs, the signed checkpoint, and the "
    "book's\n"
    "                             public key.  Compare the key with the one that you were given on another way: "
    "whoever\n"
    "                             makes a key of his own can make a bundle of his own.\n";

/* RFC 9162 2.1.3.2 in shell; the test tests/unit/reader runs it against every attack. */
const char bundle_script[] =
    "#!/bin/sh\n"
    "# Verifies this bundle with sha256sum and openssl alone.  Exit 0: verified; 1: not.\n"
    "set -u; LC_ALL=C; export LC_ALL; cd \"$(dirname \"$0\")\" || exit 1\n"
    "t=$(mktemp -d) || exit 1; trap 'rm -rf \"$t\"' EXIT\n"
    "bad() { echo \"NOT VERIFIED: $*\"; exit 1; }\n"
    "h() { openssl dgst -sha256 -binary | openssl base64 -A; }\n"
    "node() { { printf '\\001'; printf %s \"$1\" | openssl base64 -d -A; printf %s \"$2\" | openssl base64 -d -A; "
    "} | h; }\n"
    "value() { sed -n 's/^.*\"'\"$2\"'\":\"\\([0-9a-f]*\\)\".*$/\\1/p' \"proof/$1.json\"; }\n"
    "sed '/^$/,$d' proof/checkpoint > \"$t/text\" || bad 'no checkpoint'\n"
    "name=$(sed -n 's/+.*//p' proof/log.pub); [ -n \"$name\" ] && [ \"$name\" = \"$(sed -n 1p \"$t/text\")\" ] || "
    "bad 'checkpoint of another log'\n"
    "grep -F \" $name \" proof/checkpoint | sed -n '1s/.* //p' | openssl base64 -d -A | tail -c 64 > \"$t/sig\"\n"
    "{ printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'; cut -d+ -f3- proof/log.pub | openssl "
    "base64 -d -A | tail -c 32; } > \"$t/key\"\n"
    "[ \"$(cut -d+ -f2 proof/log.pub)\" = \"$({ printf '%s\\n\\001' \"$name\"; tail -c 32 \"$t/key\"; } | openssl "
    "dgst -sha256 -r | cut -c1-8)\" ] || bad 'proof/log.pub is malformed'\n"
    "openssl pkey -pubin -in proof/log.pem -outform DER 2> /dev/null | cmp -s - \"$t/key\" || bad 'proof/log.pem "
    "is not the key in proof/log.pub'\n"
    "openssl pkeyutl -verify -pubin -keyform DER -inkey \"$t/key\" -rawin -in \"$t/text\" -sigfile \"$t/sig\" > "
    "/dev/null 2>&1 || bad 'the checkpoint is not signed by the key in proof/log.pub'\n"
    "size=$(sed -n 2p \"$t/text\"); root=$(sed -n 3p \"$t/text\"); case $size in ''|*[!0-9]*) bad 'checkpoint "
    "size';; esac\n"
    "for l in start end; do\n"
    "\tsed '1,/^$/d' proof/$l.tlog-proof | cmp -s - proof/checkpoint || bad \"$l has another checkpoint\"\n"
    "\tr=$({ printf '\\000'; cat proof/$l.json; } | h); i=$(sed -n 's/^index //p;/^$/q' proof/$l.tlog-proof); "
    "n=$((size - 1))\n"
    "\tcase $i in ''|*[!0-9]*) bad \"$l index\";; esac; [ \"$i\" -le $n ] || bad \"$l index\"\n"
    "\tfor p in $(sed '1,2d;/^$/,$d' proof/$l.tlog-proof); do\n"
    "\t\t[ $n -gt 0 ] || bad \"$l proof too long\"\n"
    "\t\tif [ $((i & 1)) = 1 ] || [ \"$i\" = $n ]; then r=$(node \"$p\" \"$r\"); while [ $((i & 1)) = 0 ] && [ "
    "\"$i\" != 0 ]; do i=$((i >> 1)); n=$((n >> 1)); done\n"
    "\t\telse r=$(node \"$r\" \"$p\"); fi; i=$((i >> 1)); n=$((n >> 1))\n"
    "\tdone\n"
    "\t[ $n = 0 ] && [ \"$r\" = \"$root\" ] || bad \"session.$l is not in the book\"\n"
    "done\n"
    "[ \"$(value start rec)\" = \"$(value end rec)\" ] || bad 'start and end of different recordings'\n"
    "[ \"$(openssl dgst -sha256 -r SHA256SUMS | cut -c1-64)\" = \"$(value end sums)\" ] || bad 'SHA256SUMS is not "
    "the one in the book'\n"
    "[ \"$(openssl dgst -sha256 -r meta.json | cut -c1-64)\" = \"$(value start meta)\" ] || bad 'meta.json is not "
    "the one in the book'\n"
    "sha256sum --strict --quiet -c SHA256SUMS || bad 'a file is missing or altered'\n"
    "for f in * .[!.]*; do case $f in "
    "'.[!.]*'|README.txt|verify.sh|SHA256SUMS|meta.json|request.json|derived|proof) ;;\n"
    "\t*) cut -c67- SHA256SUMS | grep -qxF -e \"$f\" || bad \"$f is not listed\";; esac; done\n"
    "echo \"VERIFIED: $(wc -l < SHA256SUMS) files, recording $(value start rec), book of $size leaves, key $(cat "
    "proof/log.pub)\"\n";

int
bundle_key_read(struct note_key *key, int dir, const char *name)
{
	struct blob text = {.at = NULL};
	int result = -1;

	if (blob_read_at(&text, dir, name, NOTE_KEY_TEXT) == 0 && text.size > 1 && text.at[text.size - 1] == '\n') {
		text.at[text.size - 1] = '\0';
		if (strlen((const char *)text.at) == text.size - 1)
			result = note_key_parse(key, (const char *)text.at);
	}
	blob_free(&text);
	return (result);
}

struct proving {
	struct bundle *bundle;
	int dir;
	evidence_on_fault *on_fault;
	void *ctx;
	const struct blob *checkpoint;
};

/* One leaf with its proof: reads both, checks, and takes it as a claim. */
static int
leaf_prove(const struct proving *p, const char *name, const char *proof_name, enum leaf_kind kind)
{
	struct blob entry = {.at = NULL}, text = {.at = NULL};
	const char *why = "is missing or unreadable", *file = name;
	struct proof proof;
	struct leaf leaf;
	char both[256];
	int result = -1;

	if (blob_read_at(&entry, p->dir, name, 65536) == -1)
		goto out;
	file = proof_name;
	if (blob_read_at(&text, p->dir, proof_name, PROOF_MAX) == -1)
		goto out;
	why = "is malformed";
	if (proof_parse(&proof, text.at, text.size) == -1)
		goto out;
	why = "leads to another checkpoint than " BUNDLE_CHECKPOINT;
	if (proof.checkpoint_size != p->checkpoint->size ||
	    memcmp(proof.checkpoint, p->checkpoint->at, proof.checkpoint_size) != 0)
		goto out;
	file = name;
	if (proof_check(&proof, &entry, &p->bundle->key, &p->bundle->checkpoint, &why) == -1) {
		(void)snprintf(both, sizeof(both), "is not proven by %s: %s", proof_name, why);
		why = both;
		goto out;
	}
	why = "is not the leaf that it should be";
	if (leaf_parse(&leaf, entry.at, entry.size) == -1 || leaf.kind != kind)
		goto out;
	why = "is of another recording";
	if (p->bundle->claims.rec[0] == '\0')
		memcpy(p->bundle->claims.rec, leaf.rec, sizeof(leaf.rec));
	if (strcmp(p->bundle->claims.rec, leaf.rec) != 0 || claims_add(&p->bundle->claims, &leaf) == -1)
		goto out;
	result = 0;
out:
	if (result == -1)
		p->on_fault(p->ctx, file, why);
	blob_free(&entry);
	blob_free(&text);
	return (result);
}

int
bundle_open(struct bundle *b, int dir, const struct note_key *expected, evidence_on_fault *on_fault, void *ctx)
{
	struct blob note = {.at = NULL};
	const struct proving p = {.bundle = b, .dir = dir, .on_fault = on_fault, .ctx = ctx, .checkpoint = &note};
	const char *why = NULL;
	int result = -1;

	memset(b, 0, sizeof(*b));
	b->claims.known = CLAIMS_ENDS;
	if (bundle_key_read(&b->key, dir, BUNDLE_KEY) == -1)
		on_fault(ctx, BUNDLE_KEY, "is missing or no log's key");
	else if (expected != NULL && (expected->id != b->key.id || strcmp(expected->name, b->key.name) != 0 ||
	                                 memcmp(expected->point, b->key.point, NOTE_KEY_SIZE) != 0))
		on_fault(ctx, BUNDLE_KEY, "is not the key that was given");
	else if (blob_read_at(&note, dir, BUNDLE_CHECKPOINT, NOTE_MAX) == -1)
		on_fault(ctx, BUNDLE_CHECKPOINT, strerror(errno));
	else if (checkpoint_open(&b->checkpoint, &note, &b->key, &why) == -1)
		on_fault(ctx, BUNDLE_CHECKPOINT, why);
	else if (leaf_prove(&p, BUNDLE_START, BUNDLE_START_PROOF, LEAF_START) == 0 &&
	         leaf_prove(&p, BUNDLE_END, BUNDLE_END_PROOF, LEAF_END) == 0)
		result = 0;
	blob_free(&note);
	return (result);
}

int
bundle_meta_check(const struct bundle *b, int dir, evidence_on_fault *on_fault, void *ctx)
{
	struct blob text = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];
	int result = -1;

	if (blob_read_at(&text, dir, BUNDLE_META, META_MAX) == -1)
		on_fault(ctx, BUNDLE_META, errno == ENOENT ? "is missing" : strerror(errno));
	else if (sha256_of(sha256, text.at, text.size) == -1 ||
	         memcmp(sha256, b->claims.start.meta, SUMS_SHA256) != 0)
		on_fault(ctx, BUNDLE_META, "is not what session.start in the book committed to");
	else
		result = 0;
	blob_free(&text);
	return (result);
}

void
bundle_close(struct bundle *b)
{
	claims_free(&b->claims);
}
