/* What libssh is told about a target's leg: the socket, no files, and the algorithms that this target may have. */
#ifndef SESSION_TARGET_OPTIONS_H
#define SESSION_TARGET_OPTIONS_H

#include <libssh/libssh.h>

#include "host_keys.h"

/* legacy: a name-list of what is allowed beyond the modern algorithms.  0, or -1 and a line in the log: libssh takes no such
 * option, or no pinned key has an algorithm that may be used. */
int target_options(ssh_session ssh, int fd, const char *target, const struct host_keys *keys, struct bytes legacy);
/* The same for whoever has no pinned key yet: host_keys is the name-list of what it may show. */
int target_options_any(ssh_session ssh, int fd, const char *user, const char *host_keys, struct bytes legacy);

/* The login methods that the target named last, as libssh has understood it, with `between` between them; "" for none. */
void target_methods(ssh_session ssh, const char *between, char *to, size_t size);

/* What is missing when a key exchange found nothing in common, from libssh's own words of it; 0 when it was that. */
int target_nothing_common(const char *error, const char *target, char *to, size_t size);

#endif
