/* Verbs that carry secrets: not through this door; lodge-auth has one of its own, on the box. */
#include "verb.h"

void
verb_secret(struct verb *v)
{
	verb_refuse_noted(
	    v, REASON_ROLE, 0, "secrets go to lodge-auth alone: as root on the box, lodge secret ...");
}
