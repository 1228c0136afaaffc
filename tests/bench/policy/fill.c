/* Years of work; see fill.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "contract/messages.h"
#include "contract/tables.h"
#include "fill.h"
#include "states.h"
#include "store.h"

#define DAY_MS INT64_C(86400000)
#define YEARS_MS (5 * 365 * DAY_MS)
#define A_TURN 5000 /* rows in one transaction */

static struct store *store;
static int64_t now_ms, turn;

static void
must_be(int rc)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "fill: %s\n", store_trouble(store));
	exit(70);
}

static void
row_done(void)
{
	if (++turn % A_TURN != 0)
		return;
	must_be(store_commit(store));
	must_be(store_begin(store));
}

#define NAME(array, format, n) (void)snprintf(array, sizeof(array), format, (long long)(n))

/* Evenly over the years, the last one now. */
static int64_t
moment(int64_t i, int64_t of)
{
	return (now_ms - YEARS_MS + (i + 1) * (YEARS_MS / of));
}

/* An engineer, of those there are; the same one has the same vendor always. */
static int64_t
engineer(const struct sizes *size, int64_t i)
{
	int64_t first = FILL_MANAGERS + FILL_AUDITORS;

	return (first + i * 7 % (size->people - first));
}

static void
people_fill(const struct sizes *size)
{
	for (int64_t i = 0; i < size->vendors; i++) {
		struct vendor v = {.valid_from = 0};

		NAME(v.name, "vendor%lld", i);
		must_be(vendor_add(store, &v));
	}
	for (int64_t i = 0; i < size->people; i++) {
		struct person w = {.role = ROLE_ENGINEER};
		struct person_key k = {.type = "ssh-ed25519", .blob = "AAAA", .added = now_ms - YEARS_MS};

		if (i < FILL_MANAGERS + FILL_AUDITORS)
			w.role = i < FILL_MANAGERS ? ROLE_MANAGER : ROLE_AUDITOR;
		else
			NAME(w.vendor, "vendor%lld", i % size->vendors);
		NAME(w.login, "p%lld", i);
		NAME(w.name, "Person Number %lld", i);
		must_be(person_add(store, &w));
		NAME(k.login, "p%lld", i);
		NAME(k.fingerprint, "SHA256:p%lld", i);
		must_be(person_key_add(store, &k));
	}
	for (int64_t i = 0; i < size->targets; i++) {
		struct target t = {.host = "127.0.0.1", .port = 22, .accounts = "svc,root", .about = "a node"};
		struct target_key k = {.fingerprint = "SHA256:host", .type = "ssh-ed25519", .blob = "AAAA"};

		NAME(t.name, "target%lld", i);
		NAME(k.target, "target%lld", i);
		must_be(target_add(store, &t));
		must_be(target_key_add(store, &k));
	}
}

static void
decision_fill(const struct request *r)
{
	struct decision d = {.request = r->id, .at = r->decided_at};

	NAME(d.who, "p%lld", r->id % FILL_MANAGERS);
	(void)snprintf(d.what, sizeof(d.what), "%s", r->state == STATE_DENIED ? "denied" : "approved");
	must_be(decision_add(store, &d));
	row_done();
}

static void
grant_fill(const struct sizes *size, const struct request *r, int64_t from_end)
{
	int64_t boot = clock_boot_ms();
	struct grant g = {.request = r->id,
	    .capabilities = r->capabilities,
	    .state = STATE_EXPIRED,
	    .begins_at = r->asked_at,
	    .ends_at = r->asked_at + 7200000,
	    .approved_at = r->decided_at,
	    .entered_at = r->decided_at,
	    .ended_at = r->asked_at + 7200000};

	if (from_end < size->open) {
		g.state = STATE_OPEN;
		g.ends_at = now_ms + DAY_MS / 2;
	} else if (from_end < size->open + size->scheduled) {
		g.state = STATE_SCHEDULED;
		g.begins_at = now_ms + DAY_MS;
		g.ends_at = now_ms + DAY_MS + 7200000;
	}
	if (g.state != STATE_EXPIRED)
		g.ended_at = 0;
	if (g.state == STATE_SCHEDULED)
		g.entered_at = 0;
	g.connect_by = g.ends_at;
	g.ends_boot = g.hard_end_boot = boot + (g.ends_at - now_ms);
	(void)snprintf(g.person, sizeof(g.person), "%s", r->person);
	(void)snprintf(g.target, sizeof(g.target), "%s", r->target);
	(void)snprintf(g.account, sizeof(g.account), "%s", r->account);
	(void)snprintf(g.approver, sizeof(g.approver), "%s", r->decided_by);
	must_be(grant_add(store, &g));
	row_done();
}

static void
requests_fill(const struct sizes *size)
{
	for (int64_t i = 0; i < size->requests; i++) {
		int64_t from_end = size->requests - 1 - i, who = engineer(size, i),
		        alive = size->open + size->scheduled;
		struct request r = {.capabilities = CAPABILITY_SHELL | CAPABILITY_EXEC,
		    .why = "the quarterly patch of the voice nodes, as agreed",
		    .account = "svc",
		    .asked_for = 7200000,
		    .source = "192.0.2.17",
		    .asked_at = moment(i, size->requests),
		    .state = i % 10 == 3   ? STATE_DENIED
		             : i % 10 == 7 ? STATE_LAPSED
		                           : STATE_APPROVED};

		if (from_end < alive)
			r.state = STATE_APPROVED;
		else if (from_end < alive + size->waiting)
			r.state = STATE_ASKED;
		r.lapse_at = r.state == STATE_ASKED ? now_ms + DAY_MS : r.asked_at + 1800000;
		r.lapse_boot = clock_boot_ms() + (r.lapse_at - now_ms);
		r.decided_at = r.state == STATE_ASKED ? 0 : r.asked_at + 60000;
		NAME(r.person, "p%lld", who);
		NAME(r.vendor, "vendor%lld", who % size->vendors);
		NAME(r.target, "target%lld", i * 13 % size->targets);
		NAME(r.ticket, "INC%lld", i);
		NAME(r.fingerprint, "SHA256:p%lld", who);
		if (r.state == STATE_APPROVED || r.state == STATE_DENIED)
			NAME(r.decided_by, "p%lld", i % FILL_MANAGERS);
		must_be(request_add(store, &r));
		row_done();
		if (r.state == STATE_APPROVED || r.state == STATE_DENIED)
			decision_fill(&r);
		if (r.state == STATE_APPROVED)
			grant_fill(size, &r, from_end);
	}
}

static void
visits_fill(const struct sizes *size)
{
	for (int64_t i = 0; i < size->visitors; i++) {
		int64_t who = engineer(size, i);
		struct visitor v = {.conn = i + 1,
		    .role = ROLE_ENGINEER,
		    .key_type = "ssh-ed25519",
		    .factors = FACTOR_KEY | FACTOR_PAM,
		    .source = "192.0.2.17",
		    .began_at = moment(i, size->visitors),
		    .ended_at = moment(i, size->visitors) + 3600000};

		NAME(v.person, "p%lld", who);
		NAME(v.vendor, "vendor%lld", who % size->vendors);
		NAME(v.fingerprint, "SHA256:p%lld", who);
		must_be(visitor_add(store, &v));
		row_done();
	}
	for (int64_t i = 0; i < size->streams; i++) {
		int64_t of = i % size->visitors, who = engineer(size, of);
		struct stream t = {.conn = of + 1,
		    .stream = i / size->visitors + 1,
		    .visitor = of + 1,
		    .grant = 1,
		    .request = i % size->requests + 1,
		    .account = "svc",
		    .what = "shell",
		    .state = STREAM_STATE_SEALED,
		    .began_at = moment(i, size->streams),
		    .entered_at = moment(i, size->streams),
		    .ended_at = moment(i, size->streams) + 3600000,
		    .sealed_at = moment(i, size->streams) + 3600000,
		    .segments = 12,
		    .bytes_out = 1 << 20};

		NAME(t.person, "p%lld", who);
		NAME(t.vendor, "vendor%lld", who % size->vendors);
		NAME(t.target, "target%lld", i * 13 % size->targets);
		(void)snprintf(t.id, sizeof(t.id), "%016llx%016llx", (unsigned long long)i * 0x9e3779b97f4a7c15ull,
		    (unsigned long long)i);
		must_be(stream_add(store, &t));
		row_done();
	}
}

static void
events_fill(const struct sizes *size)
{
	for (int64_t i = 0; i < size->events; i++) {
		struct event e = {.at = moment(i, size->events), .name = "visit.ended", .held = 1};
		char when[32];

		clock_rfc3339(e.at, when, sizeof(when));
		(void)snprintf(e.json, sizeof(e.json),
		    "{\"@timestamp\":\"%s\",\"event\":{\"action\":\"visit.ended\",\"category\":\"session\","
		    "\"outcome\":"
		    "\"success\",\"reason\":\"done\"},\"user\":{\"name\":\"p%lld\"},\"source\":{\"ip\":\"192.0.2."
		    "17\"},"
		    "\"lodge\":{\"session\":%lld,\"request\":%lld,\"vendor\":\"vendor1\",\"target\":\"target7\","
		    "\"account\":\"svc\",\"recording\":\"0123456789abcdef0123456789abcdef\"}}",
		    when, (long long)engineer(size, i), (long long)i, (long long)i);
		must_be(event_add(store, &e));
		row_done();
	}
}

void
fill(const char *database, const struct sizes *size)
{
	char why[512], boot[37];

	now_ms = clock_wall_ms();
	if ((store = store_open(database, why, sizeof(why))) == NULL) {
		(void)fprintf(stderr, "fill: %s\n", why);
		exit(70);
	}
	clock_boot_id(boot);
	must_be(store_begin(store));
	must_be(meta_put(store, "boot", 0, boot));
	people_fill(size);
	requests_fill(size);
	visits_fill(size);
	events_fill(size);
	must_be(store_commit(store));
	store_close(store);
}
