/* SPDX-License-Identifier: MIT */
/*
 * UTF-8, RFC 3629.
 */
#include "base/utf8.h"

size_t
utf8_len(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;
	size_t len = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2, i;

	for (i = 1; i < len; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	return byte[0] >= 0xc2 && byte[0] <= 0xf4 &&
		(byte[0] != 0xe0 || byte[1] >= 0xa0) &&
		(byte[0] != 0xed || byte[1] < 0xa0) &&
		(byte[0] != 0xf0 || byte[1] >= 0x90) &&
		(byte[0] != 0xf4 || byte[1] < 0x90)
	    ? len
	    : 0;
}
