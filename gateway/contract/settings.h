/* The settings in effect, made from settings.def; lodge.conf(5) says what each means. */
#ifndef CONTRACT_SETTINGS_H
#define CONTRACT_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/settings_file.h"

#define SETTING_TYPE_TEXT char *
#define SETTING_TYPE_PATH char *
#define SETTING_TYPE_WORDS char * /* words with one space between */
#define SETTING_TYPE_NUMBER int64_t
#define SETTING_TYPE_SPAN int64_t /* milliseconds */
#define SETTING_TYPE_SIZE int64_t /* bytes */
#define SETTING_TYPE_YES_NO int64_t
struct settings {
#define SETTING(member, keyword, kind, least, most, preset, what) SETTING_TYPE_##kind member;
#include "contract/settings.def"
};

extern const struct setting_row settings_rows[];
extern const size_t settings_row_count;

/* settings_parse and settings_print of base, with our rows. */
int settings_from_text(
    struct settings *set, const char *name, const char *text, size_t len, setting_error *on_error, void *ctx);
char *settings_text(const struct settings *set);
void settings_free(struct settings *set);

#endif
