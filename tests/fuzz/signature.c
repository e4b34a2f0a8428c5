/* SPDX-License-Identifier: MIT */
/*
 * Signatures of payments: no made-up header is accepted, and a right one is,
 * whatever stands beside it.
 *
 * Input, a line each: S for Stripe's scheme; id, timestamp and signature (a line
 * of one tilde is none); then the body.
 */
#include "fuzz.h"

#include <inttypes.h>

#include "webhook/signature.h"

#define NOW_S 1764530000

static char *
header_line(struct arena *arena, struct input *input)
{
	char *line = input_line(arena, input);

	return strcmp(line, "~") == 0 ? NULL : line;
}

/* A signature by our secret, beside another text, is accepted. */
static void
try_right(struct arena *arena, const struct signature_keys *keys,
    struct signature_message message)
{
	char text[SIGNATURE_LEN];

	if (message.id == NULL || message.signature == NULL)
		return;
	signature_sign(&keys->secrets[0], message.id, NOW_S - 300, message.body,
	    text);
	message.body_len = strlen(message.body);
	message.timestamp = arena_number(arena, NOW_S - 300);
	message.signature = arena_printf(arena, "%s %s %s", message.signature,
	    text, message.signature);
	require(signature_check(keys, &message, NOW_S) == NULL,
	    "a right signature is accepted");
	require(signature_check(keys, &message, NOW_S + 1) != NULL,
	    "an old signature is refused");
	message.body = arena_printf(arena, "%s ", message.body);
	message.body_len++;
	require(signature_check(keys, &message, NOW_S) != NULL,
	    "another body is refused");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct signature_keys keys = { .count = 1,
		.secrets = {
		    { .bytes = "twenty-four secret bytes", .len = 24 } } };
	struct arena *arena = arena_new();
	struct input input = input_of(data, size);
	struct signature_message message;

	keys.scheme = *input_line(arena, &input) == 'S' ? SIGNATURE_STRIPE
							: SIGNATURE_STANDARD;
	message.id = header_line(arena, &input);
	message.timestamp = header_line(arena, &input);
	message.signature = header_line(arena, &input);
	message.body = input_take(arena, &input, '\0');
	message.body_len = strlen(message.body);
	require(signature_check(&keys, &message, NOW_S) != NULL,
	    "a made-up signature is refused");
	if (keys.scheme == SIGNATURE_STANDARD)
		try_right(arena, &keys, message);
	arena_free(arena);
	return 0;
}
