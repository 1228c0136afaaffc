/*
 * C2SP signed notes and tlog checkpoints with Ed25519.  A note is text, an empty line, and signature lines; a
 * checkpoint's text is origin, size, root.  Lines by keys that we do not know are ignored, as the standard says
 * (they are witnesses' or tomorrow's algorithm); a line by our key that does not verify fails the whole.
 */
#ifndef FORMAT_NOTE_H
#define FORMAT_NOTE_H

#include "format/blob.h"
#include "format/merkle.h"

enum {
	NOTE_NAME_MAX = 128,
	NOTE_MAX = 64 * 1024, /* bytes of a note that we read */
	NOTE_SIGNATURES_MAX = 64,
	NOTE_KEY_SIZE = 32,
	NOTE_KEY_TEXT = 256 /* a verifier or signer key as text, with its NUL */
};

struct note_key { /* public */
	char name[NOTE_NAME_MAX];
	unsigned char point[NOTE_KEY_SIZE];
	uint32_t id;
};

struct note_signer { /* a secret: note_signer_wipe() */
	struct note_key key;
	unsigned char seed[NOTE_KEY_SIZE];
};

/* Keys as text: "name+hash+base64" and "PRIVATE+KEY+name+hash+base64" (no newline).  0 or -1. */
int note_key_parse(struct note_key *key, const char *text);
int note_key_text(const struct note_key *key, char out[NOTE_KEY_TEXT]);
int note_signer_parse(struct note_signer *signer, const char *text);
int note_signer_text(const struct note_signer *signer, char out[NOTE_KEY_TEXT]);
int note_signer_make(struct note_signer *signer, const char *name);
int note_signer_pem(
    struct note_signer *signer, const char *name, const char *pem, size_t size); /* PKCS#8, ed25519 */
void note_signer_wipe(struct note_signer *signer);

/* The public key as PEM (SubjectPublicKeyInfo), for openssl. */
int note_key_pem(const struct note_key *key, struct blob *to);

/* Signs: `note` is text ending in a newline; the empty line (once) and one signature line are appended. 0 or -1. */
int note_sign(struct blob *note, const struct note_signer *signer);

/* 0 when `note` carries a good signature by `key`; *text_size is the signed text's length.  -1 otherwise. */
int note_verify(const void *note, size_t size, const struct note_key *key, size_t *text_size);

/* The 64 signature bytes of `key`'s line (not verified); 0 or -1.  verify.sh's openssl wants them in a file. */
int note_signature(const void *note, size_t size, const struct note_key *key, unsigned char out[64]);

struct checkpoint {
	char origin[NOTE_NAME_MAX];
	uint64_t size;
	struct merkle_hash root;
};

/* Appends a checkpoint's text (unsigned), and reads one strictly; extension lines are allowed and ignored. */
int checkpoint_write(struct blob *to, const struct checkpoint *checkpoint);
int checkpoint_parse(struct checkpoint *checkpoint, const void *text, size_t size);

/* note_verify and checkpoint_parse in one: 0, or -1 and *why set to a line for people (static). */
int checkpoint_open(
    struct checkpoint *checkpoint, const struct blob *note, const struct note_key *key, const char **why);

#endif
