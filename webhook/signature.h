/* SPDX-License-Identifier: MIT */
/*
 * Signatures of webhooks, made and checked: those of Standard Webhooks 1.0.0,
 * "v1," and the base64 of the HMAC-SHA256 of "id.timestamp.body", and those of
 * Stripe, "t=timestamp,v1=" and the hexadecimal HMAC-SHA256 of "timestamp.body".
 */
#ifndef WEBHOOK_SIGNATURE_H
#define WEBHOOK_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_SECRETS_MAX 8
#define SIGNATURE_SECRET_LEN  128 /* bytes of a secret, at most */
#define SIGNATURE_LEN         80  /* of a text, with its NUL */

/* How far a timestamp may be from our clock, as both standards say. */
#define SIGNATURE_TOLERANCE_S 300

enum signature_scheme { SIGNATURE_STANDARD, SIGNATURE_STRIPE };

struct signature_secret {
	unsigned char bytes[SIGNATURE_SECRET_LEN];
	int len;
};

struct signature_keys {
	enum signature_scheme scheme;
	size_t count;
	struct signature_secret secrets[SIGNATURE_SECRETS_MAX];
};

/* What came with a webhook; a header that did not come is NULL. */
struct signature_message {
	const char *id;        /* webhook-id; not of Stripe */
	const char *timestamp; /* webhook-timestamp; not of Stripe */
	const char *signature; /* webhook-signature or Stripe-Signature */
	const char *body;
	size_t body_len;
};

/*
 * Reads the secrets of a scheme from a file, one to a line, up to
 * SIGNATURE_SECRETS_MAX; empty lines and lines that begin with # do not count.
 * A secret of Standard Webhooks is "whsec_" and the base64 of 24 to 64 bytes;
 * one of Stripe is its whole line.  Returns false, with a line in the log, when
 * there is none or one is malformed, the file is public or cannot be read, or
 * the program is built without OpenSSL.
 */
bool signature_read_keys(struct signature_keys *keys,
    enum signature_scheme scheme, const char *path);

/* Writes the signature of Standard Webhooks by a secret. */
void signature_sign(const struct signature_secret *secret, const char *id,
    int64_t time_s, const char *body, char text[SIGNATURE_LEN]);

/*
 * Checks a message, at the time now_s, in seconds since the epoch: one of its
 * signatures has to be by one of the secrets.  Returns NULL when it is right,
 * otherwise the reason, which has nothing of the message.
 */
const char *signature_check(const struct signature_keys *keys,
    const struct signature_message *message, int64_t now_s);

#endif
