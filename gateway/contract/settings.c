#include "contract/settings.h"

const struct setting_row settings_rows[] = {
#define SETTING(member, keyword, kind, least, most, preset, what) \
	{keyword, SETTING_##kind, least, most, preset, offsetof(struct settings, member)},
#include "contract/settings.def"
};
const size_t settings_row_count = sizeof(settings_rows) / sizeof(settings_rows[0]);

int
settings_from_text(
    struct settings *set, const char *name, const char *text, size_t len, setting_error *on_error, void *ctx)
{
	*set = (struct settings){0};
	return (settings_parse(settings_rows, settings_row_count, name, text, len, set, on_error, ctx));
}

char *
settings_text(const struct settings *set)
{
	return (settings_print(settings_rows, settings_row_count, set));
}

void
settings_free(struct settings *set)
{
	settings_wipe(settings_rows, settings_row_count, set);
}
