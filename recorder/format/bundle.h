/*
 * An exported recording: the layout of the bundle, its own texts, and the reading of its proofs.  Beside the files that
 * SHA256SUMS lists a bundle has, and has only:
 *
 *	README.txt  verify.sh  SHA256SUMS
 *	meta.json			meta.json.zst.age opened (SHA-256 stands in session.start)
 *	request.json			what policy said of request and approval when it was exported (not in the book)
 *	derived/NNNNNN.cast.zst.age	asciicast made from a recovered NNNNNN.wal
 *	proof/log.pub, log.pem		the book's key, as C2SP verifier key and as PEM
 *	proof/start.json, end.json	the leaves session.start and session.end, to the byte
 *	proof/start.tlog-proof, end.tlog-proof	their places in the book (C2SP tlog-proof), under one checkpoint
 *	proof/checkpoint		that checkpoint by itself
 */
#ifndef FORMAT_BUNDLE_H
#define FORMAT_BUNDLE_H

#include "format/blob.h"
#include "format/evidence.h"
#include "format/note.h"

#define BUNDLE_README "README.txt"
#define BUNDLE_SCRIPT "verify.sh"
#define BUNDLE_META "meta.json"
#define BUNDLE_REQUEST "request.json"
#define BUNDLE_DERIVED "derived"
#define BUNDLE_PROOF "proof"
#define BUNDLE_KEY "proof/log.pub"
#define BUNDLE_KEY_PEM "proof/log.pem"
#define BUNDLE_CHECKPOINT "proof/checkpoint"
#define BUNDLE_START "proof/start.json"
#define BUNDLE_START_PROOF "proof/start.tlog-proof"
#define BUNDLE_END "proof/end.json"
#define BUNDLE_END_PROOF "proof/end.tlog-proof"

/* 1 when `name` in a bundle's top directory is one of its own files or directories, not the recording's. */
int bundle_own(const char *name);

/* The fixed texts. */
extern const char bundle_readme[], bundle_script[];

/* What a bundle's proofs say.  The key is the one inside unless `expected` (lent, may be NULL) is given: then they must be equal. */
struct bundle {
	struct claims claims;
	struct note_key key;
	struct checkpoint checkpoint;
};

/* Reads and checks proof/.  0; -1 after at least one fault was told.  bundle_close() in either case. */
int bundle_open(struct bundle *b, int dir, const struct note_key *expected, evidence_on_fault *on_fault, void *ctx);

/* meta.json, opened for people, is the one that session.start committed to.  0; -1 and a fault told. */
int bundle_meta_check(const struct bundle *b, int dir, evidence_on_fault *on_fault, void *ctx);
void bundle_close(struct bundle *b);

/* The verifier key in a file as the book writes it (one line).  0 or -1. */
int bundle_key_read(struct note_key *key, int dir, const char *name);

#endif
