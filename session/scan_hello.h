/*
 * How a target introduces itself, before any key is agreed: its version line and its KEXINIT (RFC 4253 4.2, 6, 7.1), read
 * bounded and by hand, for all that it says may be hostile.  Pure: bytes in, words out.
 */
#ifndef SESSION_SCAN_HELLO_H
#define SESSION_SCAN_HELLO_H

#include "base/wire.h"

#define HELLO_ROOM (48 * 1024) /* no more bytes than this are ever needed */
#define HELLO_VERSION 256
#define HELLO_LIST 4096
#define HELLO_WHY 320

/* Its name-lists in the order of RFC 4253 7.1; languages are left out. */
enum hello_list {
	HELLO_KEX,
	HELLO_HOSTKEY,
	HELLO_CIPHER_TO,
	HELLO_CIPHER_FROM,
	HELLO_MAC_TO,
	HELLO_MAC_FROM,
	HELLO_COMPRESSION_TO,
	HELLO_COMPRESSION_FROM,
	HELLO_LISTS
};

/* Clean text; the lists are printable ASCII. */
struct hello {
	char version[HELLO_VERSION];
	char lists[HELLO_LISTS][HELLO_LIST];
};

/* BAD: it is no ssh server that can be talked to; why says what it is, for people. */
enum hello_read { HELLO_MORE, HELLO_DONE, HELLO_BAD };

/* Reads what came so far, from the first byte on; over again with more while it gives HELLO_MORE. */
enum hello_read hello_read(struct hello *h, struct bytes from, char why[HELLO_WHY]);
/* What to say of a target that said this much and no more: "it said nothing", "it said \"220 mail\"". */
void hello_so_far(struct bytes from, char why[HELLO_WHY]);

#endif
