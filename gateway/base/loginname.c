#include "base/loginname.h"

static int
part_copy(char *to, const uint8_t *at, size_t len)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

	if (len == 0 || len > LOGINNAME_PART_MAX || at[0] == '\0' || strchr(first, at[0]) == NULL)
		return (-1);
	for (size_t i = 0; i < len; i++)
		if (at[i] == '\0' || (strchr(first, at[i]) == NULL && strchr(".@-", at[i]) == NULL))
			return (-1);
	memcpy(to, at, len);
	to[len] = '\0';
	return (0);
}

int
loginname_split(struct bytes name, struct loginname *to)
{
	char *const parts[3] = {to->person, to->target, to->account};
	size_t part = 0, start = 0;

	*to = (struct loginname){0};
	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && (name.at[i] == '\0' || strchr("+ %:#", name.at[i]) == NULL))
			continue;
		if (part == 3 || part_copy(parts[part++], name.at + start, i - start) == -1) {
			*to = (struct loginname){0};
			return (-1);
		}
		start = i + 1;
	}
	return (0);
}
