/* lodge-auth: vouches.  Holds the host key and the user CA, and says who somebody is. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/confine.h"
#include "base/log.h"
#include "contract/daemon.h"
#include "cert.h"
#include "house.h"

#define SECURE_HEAP_BYTES (64 * 1024)
#define SECURE_BLOCK_BYTES 64

static struct signer *
key_from(struct peer *gateway, const char *path)
{
	char why[SIGNER_WHY_SIZE];
	struct signer *s = signer_load(path, why);

	if (s == NULL)
		daemon_failed(gateway, "%s", why);
	return (s);
}

/* The first one ends us. */
static void
on_roles_error(void *ctx, const char *keyword, const char *why)
{
	daemon_failed(ctx, "%s: %s", keyword, why);
}

int
main(void)
{
	static struct house house;
	struct settings set = {0};
	struct loop *loop = loop_new();
	struct peer *gateway;

	log_begin("lodge-auth");
	if (loop == NULL)
		log_fatal("no event loop");
	/* Private keys lie in locked memory where the kernel allows it. */
	if (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_BLOCK_BYTES) == 0)
		log_warning("no locked memory for keys");
	gateway = daemon_begin(loop, PROCESS_AUTH, &set, house_on_gateway, NULL, &house);
	(void)roles_read(&house.roles, &set, on_roles_error, gateway);
	if (!cert_addresses_read(set.source_address))
		daemon_failed(
		    gateway, "SourceAddress: numeric addresses or CIDR, by commas, not \"%s\"", set.source_address);
	if (house_begin(&house, loop, &set, key_from(gateway, set.host_key), key_from(gateway, set.user_ca_key)) ==
	    -1)
		daemon_failed(gateway, "out of memory");
	house.gateway = gateway;
	confine(CONFINE_DAEMON);
	daemon_ready(gateway);
	loop_run(loop);
	house_end(&house);
	peer_close(gateway);
	settings_free(&set);
	loop_free(loop);
	CRYPTO_secure_malloc_done();
	return (EXIT_SUCCESS);
}
