#include "contract/messages.h"

#define NO_FD 0
#define FD 1

static const struct {
	const char *executable, *user;
} processes[] = {
#define PROCESS(number, NAME, executable, user, life) [number] = {executable, user},
#include "contract/processes.def"
};

static const struct {
	enum process a, b;
} links[] = {
#define LINK(a, b) {PROCESS_##a, PROCESS_##b},
#include "contract/processes.def"
};

static const struct {
	const char *name;
	int carries;
} rows[] = {
#define MESSAGE(number, NAME, name, carries, fields) [number] = {#NAME, carries},
#include "contract/messages.def"
};

static const struct {
	enum message_type type;
	enum process from, to;
} permissions[] = {
#define MAY(NAME, from, to) {MSG_##NAME, PROCESS_##from, PROCESS_##to},
#include "contract/messages.def"
};

const char *
process_name(enum process process)
{
	if ((size_t)process >= sizeof(processes) / sizeof(processes[0]) || processes[process].executable == NULL)
		return ("nobody");
	return (processes[process].executable);
}

const char *
process_user(enum process process)
{
	if ((size_t)process >= sizeof(processes) / sizeof(processes[0]) || processes[process].user == NULL)
		return ("");
	return (processes[process].user);
}

int
process_may_talk(enum process a, enum process b)
{
	if ((a == PROCESS_GATEWAY) != (b == PROCESS_GATEWAY))
		return (1);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if ((links[i].a == a && links[i].b == b) || (links[i].a == b && links[i].b == a))
			return (1);
	return (0);
}

static int
row_is_known(unsigned type)
{
	return (type < sizeof(rows) / sizeof(rows[0]) && rows[type].name != NULL);
}

const char *
message_name(enum message_type type)
{
	return (row_is_known(type) ? rows[type].name : "unknown");
}

int
message_carries_fd(enum message_type type)
{
	return (row_is_known(type) && rows[type].carries == FD);
}

static int
message_is_allowed(enum message_type type, enum process from, enum process to)
{
	if (type == MSG_HELLO)
		return (1);
	for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++)
		if (permissions[i].type == type &&
		    (permissions[i].from == from || permissions[i].from == PROCESS_ANY) &&
		    (permissions[i].to == to || permissions[i].to == PROCESS_ANY))
			return (1);
	return (0);
}

/* A decoder and an encoder a row, field by field. */
#define E() F(u8, none)
#define MESSAGE(number, NAME, name, carries, fields)                   \
	static void get_##name(struct reader *r, struct msg_##name *m) \
	{                                                              \
		fields                                                 \
	}
#define F(type, field) m->field = reader_get_##type(r);
#include "contract/messages.def"
#undef F
#define MESSAGE(number, NAME, name, carries, fields)                       \
	static void put_##name(struct wire *w, const struct msg_##name *m) \
	{                                                                  \
		fields                                                     \
	}
#define F(type, field) wire_put_##type(w, m->field);
#include "contract/messages.def"
#undef F
#undef E

int
message_decode(const void *data, size_t len, enum process from, enum process to, int fds, struct message *m)
{
	struct reader r = reader_of(bytes_of(data, len));
	unsigned type = reader_get_u16(&r);

	if (r.failed || !row_is_known(type) || !message_is_allowed(type, from, to) || fds != rows[type].carries)
		return (-1);
	m->type = type;
	switch (m->type) {
#define MESSAGE(number, NAME, name, carries, fields) \
	case MSG_##NAME:                             \
		get_##name(&r, &m->name);            \
		break;
#include "contract/messages.def"
	case MSG_MAX:
		return (-1);
	}
	return (reader_end(&r) ? 0 : -1);
}

int
message_encode(struct wire *w, const struct message *m, enum process from, enum process to)
{
	if (!row_is_known(m->type) || !message_is_allowed(m->type, from, to))
		return (-1);
	wire_put_u16(w, (uint16_t)m->type);
	switch (m->type) {
#define MESSAGE(number, NAME, name, carries, fields) \
	case MSG_##NAME:                             \
		put_##name(w, &m->name);             \
		break;
#include "contract/messages.def"
	case MSG_MAX:
		return (-1);
	}
	return (w->failed ? -1 : 0);
}
