#include "contract/algorithms.h"

#include <stdio.h>
#include <string.h>

static const struct algorithm rows[] = {
#define ALGORITHM(kind, age, name) {ALGORITHM_##kind, ALGORITHM_##age, name},
#include "contract/algorithms.def"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const struct algorithm *
algorithm_at(size_t i)
{
	return (i < ROWS ? &rows[i] : NULL);
}

const struct algorithm *
algorithm_find(struct bytes name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (bytes_are(name, rows[i].name))
			return (&rows[i]);
	return (NULL);
}

struct bytes
algorithm_list_next(struct bytes *list)
{
	const uint8_t *comma;
	struct bytes name;

	do {
		comma = list->len == 0 ? NULL : memchr(list->at, ',', list->len);
		name = bytes_of(list->at, comma == NULL ? list->len : (size_t)(comma - list->at));
		*list = comma == NULL ? bytes_of(NULL, 0) : bytes_of(comma + 1, list->len - name.len - 1);
	} while (name.len == 0 && list->len > 0);
	return (name);
}

int
algorithm_list_has(struct bytes list, struct bytes name)
{
	while (list.len > 0)
		if (bytes_equal(algorithm_list_next(&list), name))
			return (1);
	return (0);
}

int
algorithms_print(enum algorithm_kind kind, struct bytes legacy, char *to, size_t size)
{
	size_t at = 0;
	int n;

	if (size > 0)
		to[0] = '\0';
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].kind != kind ||
		    (rows[i].age == ALGORITHM_LEGACY && !algorithm_list_has(legacy, bytes_text(rows[i].name))))
			continue;
		n = snprintf(to + at, size - at, "%s%s", at == 0 ? "" : ",", rows[i].name);
		if (n < 0 || (size_t)n >= size - at)
			return (-1);
		at += (size_t)n;
	}
	return (0);
}
