/* What an engineer signed to log in: see proof.h. */
#include "proof.h"

#define SSH_MSG_USERAUTH_REQUEST 50
#define METHOD_PLAIN "publickey"
#define METHOD_HOST_BOUND "publickey-hostbound-v00@openssh.com"

enum proof_fault
proof_parse(struct bytes text, struct bytes identifier, struct bytes host_key, struct proof *p)
{
	struct reader r = reader_of(text);
	struct bytes session = reader_get_bytes(&r), user, service, method, bound = {0};
	uint8_t type;
	int signs;

	*p = (struct proof){0};
	type = reader_get_u8(&r);
	user = reader_get_bytes(&r);
	service = reader_get_bytes(&r);
	method = reader_get_bytes(&r);
	signs = blob_get_bool(&r);
	p->algorithm = reader_get_bytes(&r);
	p->key = reader_get_bytes(&r);
	p->host_bound = bytes_are(method, METHOD_HOST_BOUND);
	if (p->host_bound)
		bound = reader_get_bytes(&r);
	if (!reader_end(&r) || type != SSH_MSG_USERAUTH_REQUEST || !signs)
		return (PROOF_MALFORMED);
	if (bytes_copy(p->user, sizeof(p->user), user) == -1)
		return (PROOF_MALFORMED);
	if (identifier.len == 0 || !bytes_equal(session, identifier))
		return (PROOF_WRONG_SESSION);
	if (!bytes_are(service, "ssh-connection"))
		return (PROOF_WRONG_SERVICE);
	if (!p->host_bound && !bytes_are(method, METHOD_PLAIN))
		return (PROOF_WRONG_METHOD);
	if (p->host_bound && !bytes_equal(bound, host_key))
		return (PROOF_WRONG_HOST_KEY);
	return (PROOF_GOOD);
}
