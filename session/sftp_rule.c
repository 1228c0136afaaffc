#include "sftp_rule.h"

#include "contract/messages.h"

#define FLAGS_KNOWN (SFTP_F_READ | SFTP_F_WRITE | SFTP_F_APPEND | SFTP_F_CREAT | SFTP_F_TRUNC | SFTP_F_EXCL)

/* clang-format off */
static const struct sftp_refusal
	refused_longer  = {SFTP_S_BAD_MESSAGE,       REASON_LIMIT,         "the request is too long"},
	refused_bad     = {SFTP_S_BAD_MESSAGE,       REASON_PROTOCOL,      "the request is malformed"},
	refused_path    = {SFTP_S_FAILURE,           REASON_LIMIT,         "the name is too long"},
	refused_unknown = {SFTP_S_OP_UNSUPPORTED,    REASON_NOT_SUPPORTED, "Lodge does not carry this request"},
	refused_flags   = {SFTP_S_OP_UNSUPPORTED,    REASON_NOT_SUPPORTED, "Lodge does not carry these open flags"},
	refused_any     = {SFTP_S_PERMISSION_DENIED, REASON_CAPABILITY,    "the grant does not cover files"},
	refused_up      = {SFTP_S_PERMISSION_DENIED, REASON_CAPABILITY,    "the grant does not cover upload"},
	refused_down    = {SFTP_S_PERMISSION_DENIED, REASON_CAPABILITY,    "the grant does not cover download"},
	refused_handle  = {SFTP_S_PERMISSION_DENIED, REASON_PROTOCOL,      "no such handle was opened here"},
	refused_read    = {SFTP_S_PERMISSION_DENIED, REASON_PROTOCOL,      "not opened for reading"},
	refused_write   = {SFTP_S_PERMISSION_DENIED, REASON_PROTOCOL,      "not opened for writing"},
	refused_id      = {SFTP_S_FAILURE,           REASON_PROTOCOL,      "request id in use"},
	refused_asked   = {SFTP_S_FAILURE,           REASON_LIMIT,         "too many requests without an answer"},
	refused_names   = {SFTP_S_FAILURE,           REASON_LIMIT,         "too many names under way"},
	refused_files   = {SFTP_S_FAILURE,           REASON_LIMIT,         "too many open handles"};
/* clang-format on */

static const struct sftp_refusal *
rule_form(const struct sftp_ask *a, enum sftp_read read, size_t rest)
{
	int is_write = a->row != NULL && a->row->type == SFTP_WRITE;

	if (read == SFTP_READ_UNKNOWN)
		return (&refused_unknown);
	if (rest > 0 && !is_write)
		return (&refused_longer);
	if (read == SFTP_READ_LONG_PATH)
		return (&refused_path);
	if (read == SFTP_READ_BAD || (is_write && a->number != rest))
		return (&refused_bad);
	if (a->row->type == SFTP_OPEN && (a->number & ~(uint32_t)FLAGS_KNOWN) != 0)
		return (&refused_flags);
	return (NULL);
}

static const struct sftp_refusal *
rule_capability(unsigned capabilities, const struct sftp_ask *a)
{
	int opens = a->row->needs == SFTP_NEEDS_FLAGS;
	int up = a->row->needs == SFTP_NEEDS_UPLOAD || (opens && sftp_flags_change(a->number));
	int down = a->row->needs == SFTP_NEEDS_DOWNLOAD || (opens && sftp_flags_read(a->number));

	if ((capabilities & (CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD)) == 0)
		return (&refused_any);
	if (up && (capabilities & CAPABILITY_UPLOAD) == 0)
		return (&refused_up);
	if (down && (capabilities & CAPABILITY_DOWNLOAD) == 0)
		return (&refused_down);
	return (NULL);
}

/* A handle must have been given here, and for this. */
static const struct sftp_refusal *
rule_handle(const struct sftp_table *t, const struct sftp_ask *a)
{
	int copies = a->into.at != NULL;
	const struct sftp_file *f = sftp_table_file(t, a->handle);
	const struct sftp_file *into = copies ? sftp_table_file(t, a->into) : f;

	if (a->handle.at == NULL)
		return (NULL);
	if (f == NULL || into == NULL)
		return (&refused_handle);
	if ((a->row->type == SFTP_READ || copies) && (f->is_directory || !sftp_flags_read(f->flags)))
		return (&refused_read);
	if ((a->row->type == SFTP_WRITE || copies) && (into->is_directory || !sftp_flags_write(into->flags)))
		return (&refused_write);
	return (NULL);
}

static const struct sftp_refusal *
rule_limits(const struct sftp_table *t, const struct sftp_ask *a)
{
	if (sftp_table_asked(t, a->id) != NULL)
		return (&refused_id);
	if (t->outstanding >= SFTP_ASKED_MAX)
		return (&refused_asked);
	if (sftp_ask_names(a) > SFTP_NAMES_MAX - t->names)
		return (&refused_names);
	if (a->row->answer == SFTP_HANDLE && t->opened >= SFTP_FILES_MAX)
		return (&refused_files);
	return (NULL);
}

const struct sftp_refusal *
sftp_rule(
    const struct sftp_table *t, unsigned capabilities, const struct sftp_ask *a, enum sftp_read read, size_t rest)
{
	const struct sftp_refusal *why = rule_form(a, read, rest);

	if (why == NULL)
		why = rule_capability(capabilities, a);
	if (why == NULL)
		why = rule_handle(t, a);
	if (why == NULL)
		why = rule_limits(t, a);
	return (why);
}
