#include "vault_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "house.h"

/* -1: it is not there, or not as it must be. */
static int
key_open(const char *keyword, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1) {
		if (errno != ENOENT)
			log_error("%s: %s: %s", keyword, path, strerror(errno));
		return (-1);
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		log_error("%s: %s is not a file", keyword, path);
	else if ((st.st_mode & 077) != 0)
		log_error("%s: %s may be read by others: chmod 0400 it", keyword, path);
	else
		return (fd);
	close(fd);
	return (-1);
}

void
vault_keys_post(struct peer *auth)
{
	const struct {
		const char *keyword, *path;
		enum memory_kind what;
	} rows[] = {
	    {"VaultKeyOld", house.set.vault_key_old, MEMORY_VAULT_KEY_OLD},
	    {"VaultKey", house.set.vault_key, MEMORY_VAULT_KEY},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = rows[i].path[0] == '\0' ? -1 : key_open(rows[i].keyword, rows[i].path);

		if (fd != -1)
			peer_post_fd(auth, fd, MEMORY, memory, .what = (uint8_t)rows[i].what);
	}
}
