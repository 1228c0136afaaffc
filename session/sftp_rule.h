/*
 * The rules of SFTP: whether a request goes on to the target, decided by what the grant covers, what is open here, and how
 * much is under way; and if not, how it is refused.  They are asked in the order: form, capability, handle, limits.
 */
#ifndef SESSION_SFTP_RULE_H
#define SESSION_SFTP_RULE_H

#include "contract/tables.h"
#include "sftp_table.h"

struct sftp_refusal {
	uint32_t status; /* that answers it */
	enum reason reason;
	const char *text; /* for people */
};

/*
 * NULL: it goes on.  `read` is how sftp_ask_read fared, rest how many bytes of the packet stand behind what it read: all
 * others but WRITE must have been read whole.
 */
const struct sftp_refusal *sftp_rule(
    const struct sftp_table *t, unsigned capabilities, const struct sftp_ask *a, enum sftp_read read, size_t rest);

#endif
