#include "base/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

static void
limit_set(int what, rlim_t most, const char *name)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)what, &now) == -1)
		log_fatal("confine: getrlimit %s: %s", name, strerror(errno));
	if (now.rlim_max < most)
		most = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &(struct rlimit){most, most}) == -1)
		log_fatal("confine: setrlimit %s: %s", name, strerror(errno));
}

void
confine(enum confine_how how)
{
	limit_set(RLIMIT_CORE, 0, "core");
	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		log_fatal("confine: PR_SET_DUMPABLE: %s", strerror(errno));
	if (how == CONFINE_PAM) {
		if (prctl(PR_SET_PDEATHSIG, 9) == -1)
			log_fatal("confine: PR_SET_PDEATHSIG: %s", strerror(errno));
		return; /* PAM modules may need root and set-uid helpers */
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		log_fatal("confine: PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	/* A clone inherits what its parent dropped (and libcap-ng remembers the parent's thread, not the clone's). */
	if (geteuid() != 0 && how != CONFINE_SESSION) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (capng_apply(CAPNG_SELECT_CAPS) < 0)
			log_fatal("confine: capabilities could not be dropped");
	}
	if (how == CONFINE_SESSION)
		limit_set(RLIMIT_NOFILE, 256, "nofile");
}
