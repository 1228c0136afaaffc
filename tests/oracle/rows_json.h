/*
 * Rows of policy's database out of JSON: an object with the columns that are not 0 or "".  What has no column of its name, or
 * is longer than that, ends the program, so that no case means less than it says.
 */
#ifndef ORACLE_ROWS_JSON_H
#define ORACLE_ROWS_JSON_H
#include <jansson.h>

#include "rows.h"

/* From here on JSON's memory is given back by lines_end alone, a line at a time: under ASan jansson's own way takes most of
 * the time. */
void lines_begin(void);
void lines_end(void);

/* A member, or 0 and "" where there is none; each that is there counts into *seen. */
int64_t number_of(const json_t *object, const char *name, size_t *seen);
const char *text_of(const json_t *object, const char *name, size_t *seen);
/* Ends the program when the object has more than was seen. */
void all_seen(const json_t *object, size_t seen, const char *what);

#define ROW_READERS(R)            \
	R(person, PERSON_COLUMNS) \
	R(vendor, VENDOR_COLUMNS) \
	R(target, TARGET_COLUMNS) \
	R(grant, GRANT_COLUMNS)   \
	R(request, REQUEST_COLUMNS)

/* One row, and a list of them exactly as long as it is, so that a step past it is seen.  Free them with free; NULL: there is none. */
#define ROW_READER(name, COLUMNS)                                                        \
	struct name *name##_give(const json_t *object, const char *field, size_t *seen); \
	struct name *name##_list(const json_t *object, const char *field, size_t *count, size_t *seen);
ROW_READERS(ROW_READER)
#endif
