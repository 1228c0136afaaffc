/* Bech32: see bech32.h. */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include <openssl/crypto.h>

#include "format/bech32.h"

static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

enum { CHECKSUM = 6 };

/* BIP 173's checksum, one five-bit value at a time. */
static uint32_t
checksum_step(uint32_t sum, unsigned value)
{
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ value;
	for (unsigned i = 0; i < 5; i++)
		if ((top >> i & 1) != 0)
			sum ^= generator[i];
	return (sum);
}

static uint32_t
checksum_prefix(const char *prefix, size_t length)
{
	uint32_t sum = 1;

	for (size_t i = 0; i < length; i++)
		sum = checksum_step(sum, (unsigned)tolower((unsigned char)prefix[i]) >> 5);
	sum = checksum_step(sum, 0);
	for (size_t i = 0; i < length; i++)
		sum = checksum_step(sum, (unsigned)tolower((unsigned char)prefix[i]) & 31);
	return (sum);
}

int
bech32_encode(const char *prefix, const unsigned char *from, size_t size, char *out, size_t room)
{
	size_t length = strlen(prefix), values = (size * 8 + 4) / 5, at = length + 1;
	uint32_t sum = checksum_prefix(prefix, length), group = 0;
	unsigned bits = 0;

	if (room < length + 1 + values + CHECKSUM + 1)
		return (-1);
	memcpy(out, prefix, length);
	out[length] = '1';
	for (size_t i = 0, used = 0; i < values; i++) {
		unsigned value;

		if (bits < 5 && used < size) {
			group = group << 8 | from[used++];
			bits += 8;
		}
		if (bits < 5) {
			group <<= 5 - bits;
			bits = 5;
		}
		value = group >> (bits - 5) & 31;
		bits -= 5;
		sum = checksum_step(sum, value);
		out[at++] = letters[value];
	}
	for (unsigned i = 0; i < CHECKSUM; i++)
		sum = checksum_step(sum, 0);
	sum ^= 1;
	for (unsigned i = 0; i < CHECKSUM; i++)
		out[at++] = letters[sum >> 5 * (5 - i) & 31];
	out[at] = '\0';
	return (0);
}

/* Five-bit values of the text behind the prefix; -1 for another prefix, a mixed case or a wrong checksum. */
static int
values_of(const char *prefix, const char *text, unsigned char *values, size_t *count)
{
	size_t length = strlen(prefix), whole = strlen(text);
	uint32_t sum = checksum_prefix(prefix, length);
	int upper = isupper((unsigned char)prefix[0]) != 0;

	if (whole > BECH32_TEXT_MAX || whole < length + 1 + CHECKSUM || strncmp(text, prefix, length) != 0 ||
	    text[length] != '1')
		return (-1);
	*count = 0;
	for (const char *c = text + length + 1; *c != '\0'; c++) {
		const char *found;

		if (upper ? islower((unsigned char)*c) : isupper((unsigned char)*c))
			return (-1);
		if ((found = strchr(letters, tolower((unsigned char)*c))) == NULL)
			return (-1);
		values[*count] = (unsigned char)(found - letters);
		sum = checksum_step(sum, values[(*count)++]);
	}
	*count -= CHECKSUM;
	return (sum == 1 ? 0 : -1);
}

int
bech32_decode(const char *prefix, const char *text, unsigned char *out, size_t size)
{
	unsigned char values[BECH32_TEXT_MAX];
	size_t count, made = 0;
	uint32_t group = 0;
	unsigned bits = 0;
	int result = -1;

	if (values_of(prefix, text, values, &count) == -1 || count != (size * 8 + 4) / 5)
		goto out;
	for (size_t i = 0; i < count; i++) {
		group = group << 5 | values[i];
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			out[made++] = (unsigned char)(group >> bits);
		}
	}
	if (made == size && (group & ((1U << bits) - 1)) == 0)
		result = 0;
out:
	OPENSSL_cleanse(values, sizeof(values));
	return (result);
}
