#include "receipt.h"

#include "channel.h"
#include "lease.h"
#include "text.h"
#include "visit.h"

static void
hex_print(char *to, struct bytes from)
{
	for (size_t i = 0; i < from.len; i++)
		snprintf(to + 2 * i, 3, "%02x", from.at[i]);
}

void
receipt_on_sealed(struct session *s, const struct msg_sealed *m)
{
	struct visit *v = visit_of(s, m->stream);

	if (v == NULL || m->id.len * 2 >= sizeof(v->recording) || m->digest.len * 2 >= sizeof(v->digest))
		return;
	hex_print(v->recording, m->id);
	hex_print(v->digest, m->digest);
	v->segments = m->segments;
	v->is_sealed = 1;
	session_wake(s);
}

static void
transfers_say(const struct transfer_counts *t, struct channel *to)
{
	char line[200], up[32], down[32], refused[32] = "";

	if (t->files_up == 0 && t->files_down == 0 && t->refused == 0)
		return;
	text_bytes(up, sizeof(up), t->bytes_up);
	text_bytes(down, sizeof(down), t->bytes_down);
	if (t->refused > 0)
		snprintf(refused, sizeof(refused), ", %u refused", t->refused);
	snprintf(line, sizeof(line), "lodge: files: %u up (%s), %u down (%s)%s", t->files_up, up, t->files_down,
	    down, refused);
	channel_say(to, line);
}

void
receipt_say(const struct visit *v, struct channel *to)
{
	const struct lease *l = v->session->leases;
	char line[512], until[32] = "";

	while (l != NULL && l->grant != v->grant)
		l = l->next;
	if (l != NULL)
		text_time(until, sizeof(until), l->ends_wall_ms);
	snprintf(line, sizeof(line), "lodge: %s as %s: %s; window until %s%s%s", v->target, v->account,
	    reason_what(v->reason), until, l == NULL || l->approver[0] == '\0' ? "" : ", approved by ",
	    l == NULL ? "" : l->approver);
	channel_say(to, line);
	transfers_say(&v->transfers, to);
	if (v->is_sealed)
		snprintf(line, sizeof(line), "lodge: recording %s, %u segment%s, SHA256SUMS %s", v->recording,
		    v->segments, v->segments == 1 ? "" : "s", v->digest);
	else
		snprintf(line, sizeof(line), "lodge: recording: not sealed yet");
	channel_say(to, line);
}
