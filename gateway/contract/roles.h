/*
 * What lodge.conf(5) asks of each role: AuthenticationMethods, PubkeyAuthOptions, HostBoundRoles, PAMService.
 *
 * A word without a role is for everybody, `role=word` for that role alone; what is said for nobody is the strict one.
 * The one reader of these words: lodge-gateway -t checks with it, lodge-auth decides by it.
 */
#ifndef CONTRACT_ROLES_H
#define CONTRACT_ROLES_H

#include "contract/messages.h"
#include "contract/settings.h"

#define ROLES (ROLE_OPERATOR + 1)
#define ROLES_SERVICE_SIZE 64

struct role_rules {
	uint8_t wants_code;       /* keyboard-interactive after the key */
	uint8_t wants_verified;   /* a FIDO key's PIN or finger, besides the touch */
	uint8_t wants_host_bound; /* a proof that names our host key */
	char pam_service[ROLES_SERVICE_SIZE];
};

/* By enum role; ROLE_NONE has what is said for everybody. */
struct roles {
	struct role_rules rules[ROLES];
};

/* One error: the keyword, and one line that names the word and the remedy. */
typedef void roles_error(void *ctx, const char *keyword, const char *why);

/* How many errors there were; 0: *to is good. */
int roles_read(struct roles *to, const struct settings *set, roles_error *on_error, void *ctx);

#endif
