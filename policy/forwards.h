/*
 * Where a connection may be forwarded to: "host:port", and lists of them as requests and grants keep them:
 * "cmp:443,10.0.0.7:8443,[2001:db8::1]:443".  Pure.
 *
 * What is read is made canonical, so that equal places are equal text: names in lower case, addresses as inet_ntop(3)
 * writes them, an IPv4 address mapped into IPv6 as IPv4.  What a resolver would take for an address in disguise
 * ("0x7f.1", "017700000001", "127.1") is neither, and is refused.
 */
#ifndef POLICY_FORWARDS_H
#define POLICY_FORWARDS_H
#include <stddef.h>
#include <stdint.h>

#define FORWARD_HOST 256
#define FORWARD_TEXT (FORWARD_HOST + 8)
#define FORWARD_WHY 128

struct forward {
	char host[FORWARD_HOST]; /* a name, or an address without brackets */
	uint16_t port;
};

/* Reads one; -1 and why (a few words, nothing of `text` in them). */
int forward_read(struct forward *f, const char *text, char why[FORWARD_WHY]);
void forward_print(const struct forward *f, char text[FORWARD_TEXT]);
/* Does it lead to the machine that dials? */
int forward_is_local(const struct forward *f);
/* 1 when a manager sees in the name itself where it leads: an address, or this machine by name.  Other names lead where
 * their owner says, at the moment of the dial. */
int forward_is_plain(const char *host);

/* Reads a list of one at least into `list`, each once; -1 and why. */
int forwards_read(char *list, size_t size, const char *text, char why[FORWARD_WHY]);
/* Is `forward`, as forward_print writes it, in the list? */
int forwards_hold(const char *list, const char *forward);
/* Takes the first of a list that was read; gives what follows it, NULL when the list was empty. */
const char *forwards_next(const char *list, struct forward *f);
#endif
