/* Memory that wipes itself: keys, codes, passwords.  Locked and left out of core dumps where the kernel lets us. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

struct secret {
	uint8_t *at;
	size_t len;
};

int secret_new(struct secret *s, size_t len);                  /* zeroed; -1: no memory */
int secret_copy(struct secret *s, const void *at, size_t len); /* a new secret; -1: no memory */
int secret_read_file(
    struct secret *s, const char *path, size_t max); /* whole file, a NUL behind it; -1 and errno */
void secret_free(struct secret *s);                  /* wipes; s is empty again */
void secret_wipe(void *at, size_t len);

#endif
