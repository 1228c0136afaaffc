#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void
secret_wipe(void *at, size_t len)
{
	if (at != NULL && len > 0)
		explicit_bzero(at, len);
}

int
secret_new(struct secret *s, size_t len)
{
	*s = (struct secret){0};
	if ((s->at = calloc(1, len + 1)) == NULL)
		return (-1);
	s->len = len;
	(void)mlock(s->at, len + 1); /* a limit on locked memory is no reason to stop */
	return (0);
}

int
secret_copy(struct secret *s, const void *at, size_t len)
{
	if (secret_new(s, len) == -1)
		return (-1);
	if (len > 0)
		memcpy(s->at, at, len);
	return (0);
}

int
secret_read_file(struct secret *s, const char *path, size_t max)
{
	struct stat st;
	ssize_t got;
	int fd;

	*s = (struct secret){0};
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	if (fstat(fd, &st) == -1)
		goto failed;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > max) {
		errno = EFBIG;
		goto failed;
	}
	if (secret_new(s, (size_t)st.st_size) == -1)
		goto failed;
	for (size_t have = 0; have < s->len; have += (size_t)got) {
		got = read(fd, s->at + have, s->len - have);
		if (got == -1)
			goto failed;
		if (got == 0) {
			s->len = have;
			break;
		}
	}
	close(fd);
	return (0);

failed:
	secret_free(s);
	close(fd);
	return (-1);
}

void
secret_free(struct secret *s)
{
	if (s->at != NULL) {
		explicit_bzero(s->at, s->len);
		(void)munlock(s->at, s->len + 1);
		free(s->at);
	}
	*s = (struct secret){0};
}
