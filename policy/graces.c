/* The ends of MFAGrace; see graces.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "graces.h"

struct grace_ended {
	struct grace_ended *next;
	char login[ROW_NAME];
	int64_t at_boot_ms;
};

static void
grace_tell(struct policy *p, const char *login)
{
	peer_post(p->auth, GRACE_CAP, grace_cap, .login = bytes_text(login));
}

/* Those of whom nothing is left by now, and `login`, which is remembered anew. */
static void
graces_prune(struct policy *p, const char *login)
{
	struct grace_ended **at = &p->graces, *g;

	while ((g = *at) != NULL) {
		if (clock_boot_ms() - g->at_boot_ms <= p->set.mfa_grace && strcmp(g->login, login) != 0) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		free(g);
	}
}

void
grace_end(struct policy *p, const char *login)
{
	struct grace_ended *g = calloc(1, sizeof(*g));

	if (g == NULL)
		log_fatal("out of memory");
	graces_prune(p, login);
	TEXT_COPY(g->login, login);
	g->at_boot_ms = clock_boot_ms();
	g->next = p->graces;
	p->graces = g;
	grace_tell(p, login);
}

void
graces_auth_anew(struct policy *p)
{
	graces_prune(p, "");
	for (const struct grace_ended *g = p->graces; g != NULL; g = g->next)
		grace_tell(p, g->login);
}

void
graces_free(struct policy *p)
{
	struct grace_ended *g;

	while ((g = p->graces) != NULL) {
		p->graces = g->next;
		free(g);
	}
}
