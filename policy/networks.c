/* Lists of networks; see networks.h. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "networks.h"

#define MAPPED_BITS 96 /* of ::ffff:0:0, before the IPv4 address */

struct network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d, so that one comparison serves both */
	unsigned bits;
};

static int
address_parse(const char *text, uint8_t bytes[16], unsigned *width)
{
	struct in_addr four;

	*width = 128;
	if (inet_pton(AF_INET6, text, bytes) == 1)
		return (0);
	if (inet_pton(AF_INET, text, &four) != 1)
		return (-1);
	memset(bytes, 0, 10);
	bytes[10] = bytes[11] = 0xff;
	memcpy(bytes + 12, &four, 4);
	*width = 32;
	return (0);
}

static int
bits_parse(const char *text, unsigned width, unsigned *bits)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (!isdigit((unsigned char)text[i]) || i == 3)
			return (-1);
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (i == 0 || n > width)
		return (-1);
	*bits = n + (128 - width);
	return (0);
}

static int
bit_at(const uint8_t bytes[16], unsigned bit)
{
	return (bytes[bit / 8] >> (7 - bit % 8) & 1);
}

static int
network_parse(const char *part, size_t length, struct network *net)
{
	char text[64], *slash;
	unsigned width;

	if (length == 0 || length >= sizeof(text))
		return (-1);
	memcpy(text, part, length);
	text[length] = '\0';
	if ((slash = strchr(text, '/')) != NULL)
		*slash = '\0';
	if (address_parse(text, net->bytes, &width) == -1)
		return (-1);
	net->bits = 128;
	if (slash != NULL && bits_parse(slash + 1, width, &net->bits) == -1)
		return (-1);
	for (unsigned bit = net->bits; bit < 128; bit++)
		if (bit_at(net->bytes, bit))
			return (-1);
	return (0);
}

/* An IPv6 network holds no IPv4 address, however wide it is: "::/0" is every address of IPv6 alone. */
static int
network_holds(const struct network *net, const uint8_t address[16])
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	if (net->bits < MAPPED_BITS && memcmp(address, mapped, MAPPED_BITS / 8) == 0)
		return (0);
	for (unsigned bit = 0; bit < net->bits; bit++)
		if (bit_at(net->bytes, bit) != bit_at(address, bit))
			return (0);
	return (1);
}

int
networks_check(const char *list)
{
	struct network net;

	for (const char *p = list; *p != '\0';) {
		size_t n = strcspn(p, ",");

		if (network_parse(p, n, &net) == -1 || (p[n] == ',' && p[n + 1] == '\0'))
			return (-1);
		p += n + (p[n] == ',');
	}
	return (0);
}

int
networks_hold(const char *list, const char *address)
{
	struct network net;
	uint8_t bytes[16];
	unsigned width;

	if (*list == '\0')
		return (1);
	if (address_parse(address, bytes, &width) == -1)
		return (0);
	for (const char *p = list; *p != '\0';) {
		size_t n = strcspn(p, ",");

		if (network_parse(p, n, &net) == 0 && network_holds(&net, bytes))
			return (1);
		p += n + (p[n] == ',');
	}
	return (0);
}
