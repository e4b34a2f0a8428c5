/* SPDX-License-Identifier: MIT */
/*
 * Makes and checks the signatures of webhooks, by OpenSSL.
 */
#include "webhook/signature.h"

#include "base/log.h"

#ifdef WITH_NOTIFY

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/secret_file.h"
#include "base/strbuf.h"

#define SECRET_MIN        24
#define SECRET_BASE64_MAX 88 /* of SECRET_MAX bytes */
#define SECRET_MAX        64
#define LINE_LEN          512
#define DIGEST_LEN        32
#define TIME_DIGITS_MAX   12
#define DIGEST_BASE64_LEN 44

_Static_assert(SIGNATURE_LEN > 3 + DIGEST_BASE64_LEN, "a text fits");
_Static_assert(SIGNATURE_SECRET_LEN >= SECRET_BASE64_MAX, "a secret fits");

static const char prefix[] = "whsec_";

/* Decodes a secret of Standard Webhooks; false when it is malformed. */
static bool
decode_secret(const char *text, struct signature_secret *secret)
{
	size_t len = strlen(text), skip = strlen(prefix);
	int bytes;

	if (len <= skip || len - skip > SECRET_BASE64_MAX ||
	    strncmp(text, prefix, skip) != 0)
		return false;
	bytes = EVP_DecodeBlock(secret->bytes,
	    (const unsigned char *)text + skip, (int)(len - skip));
	/* OpenSSL counts what stands for the padding. */
	while (bytes > 0 && text[--len] == '=')
		bytes--;
	secret->len = bytes;
	return bytes >= SECRET_MIN && bytes <= SECRET_MAX;
}

/* A secret of Stripe is its text. */
static bool
copy_secret(const char *text, struct signature_secret *secret)
{
	size_t len = strlen(text);

	if (len < SECRET_MIN || len > sizeof(secret->bytes))
		return false;
	memcpy(secret->bytes, text, len);
	secret->len = (int)len;
	return true;
}

/* Takes the secret of a line, if it has one; false when it is malformed. */
static bool
take_secret(struct signature_keys *keys, char *line)
{
	struct signature_secret *secret = &keys->secrets[keys->count];

	line[strcspn(line, " \t\r\n")] = '\0';
	if (*line == '\0' || *line == '#')
		return true;
	if (keys->count == SIGNATURE_SECRETS_MAX ||
	    !(keys->scheme == SIGNATURE_STANDARD ? decode_secret(line, secret)
						 : copy_secret(line, secret)))
		return false;
	keys->count++;
	return true;
}

bool
signature_read_keys(struct signature_keys *keys, enum signature_scheme scheme,
    const char *path)
{
	FILE *file = secret_file_open(path);
	char line[LINE_LEN];
	bool is_right = true;
	int number = 0;

	*keys = (struct signature_keys){ .scheme = scheme };
	if (file == NULL)
		return false;
	while (is_right && fgets(line, sizeof(line), file) != NULL) {
		number++;
		is_right = take_secret(keys, line);
	}
	explicit_bzero(line, sizeof(line));
	fclose(file);
	if (is_right && keys->count > 0)
		return true;
	log_error(scheme == SIGNATURE_STANDARD
		? "cannot use '%s': its line %d is not whsec_ and the base64 "
		  "of %d to %d bytes, or it has more than %d secrets"
		: "cannot use '%s': its line %d is not a secret of %d to %d "
		  "characters, or it has more than %d secrets",
	    path, number, SECRET_MIN,
	    scheme == SIGNATURE_STANDARD ? SECRET_MAX : SIGNATURE_SECRET_LEN,
	    SIGNATURE_SECRETS_MAX);
	return false;
}

/* The HMAC of head and body, one behind the other. */
static void
digest_of(const struct signature_secret *secret, const char *head,
    const char *body, size_t body_len, unsigned char digest[DIGEST_LEN])
{
	struct strbuf text = { 0 };
	unsigned int len = 0;

	strbuf_add_text(&text, head);
	strbuf_add(&text, body, body_len);
	if (HMAC(EVP_sha256(), secret->bytes, secret->len,
		(const unsigned char *)text.text, text.len, digest,
		&len) == NULL ||
	    len != DIGEST_LEN)
		abort();
	strbuf_free(&text);
}

static void
write_standard(const unsigned char digest[DIGEST_LEN], char text[SIGNATURE_LEN])
{
	text = stpcpy(text, "v1,");
	EVP_EncodeBlock((unsigned char *)text, digest, DIGEST_LEN);
}

static void
write_hex(const unsigned char digest[DIGEST_LEN], char text[SIGNATURE_LEN])
{
	int i;

	for (i = 0; i < DIGEST_LEN; i++, text += 2)
		snprintf(text, 3, "%02x", digest[i]);
}

void
signature_sign(const struct signature_secret *secret, const char *id,
    int64_t time_s, const char *body, char text[SIGNATURE_LEN])
{
	unsigned char digest[DIGEST_LEN];
	char *head;

	if (asprintf(&head, "%s.%" PRId64 ".", id, time_s) < 0)
		memory_die();
	digest_of(secret, head, body, strlen(body), digest);
	free(head);
	write_standard(digest, text);
}

/*
 * Whether one of the parts of a header, between separators, that begin with
 * start is the wanted text.  It looks at all of them.
 */
static bool
has_part(const char *header, char separator, const char *start,
    const char *wanted)
{
	const char between[] = { separator, '\0' };
	size_t start_len = strlen(start), wanted_len = strlen(wanted), len;
	const char *at;
	bool found = false;

	for (at = header;; at += len + 1) {
		len = strcspn(at, between);
		if (len == start_len + wanted_len &&
		    strncmp(at, start, start_len) == 0 &&
		    CRYPTO_memcmp(at + start_len, wanted, wanted_len) == 0)
			found = true;
		if (at[len] == '\0')
			return found;
	}
}

/* Whether a part of the header is the signature of head and body. */
static bool
is_signed(const struct signature_keys *keys, const char *head,
    const struct signature_message *message)
{
	unsigned char digest[DIGEST_LEN];
	char wanted[SIGNATURE_LEN] = "";
	bool found = false;
	size_t i;

	for (i = 0; i < keys->count; i++) {
		digest_of(&keys->secrets[i], head, message->body,
		    message->body_len, digest);
		if (keys->scheme == SIGNATURE_STANDARD) {
			write_standard(digest, wanted);
			found |= has_part(message->signature, ' ', "", wanted);
		} else {
			write_hex(digest, wanted);
			found |= has_part(message->signature, ',',
			    "v1=", wanted);
		}
	}
	return found;
}

/* Whether a text of len bytes is a time near now_s. */
static bool
is_recent(const char *text, size_t len, int64_t now_s)
{
	int64_t time_s = 0;
	size_t i;

	if (len == 0 || len > TIME_DIGITS_MAX ||
	    strspn(text, "0123456789") < len)
		return false;
	for (i = 0; i < len; i++)
		time_s = time_s * 10 + (text[i] - '0');
	return time_s >= now_s - SIGNATURE_TOLERANCE_S &&
	    time_s <= now_s + SIGNATURE_TOLERANCE_S;
}

/* Finds the timestamp of Stripe's header, which stands first. */
static const char *
find_timestamp(const struct signature_message *message, size_t *len)
{
	if (strncmp(message->signature, "t=", 2) != 0)
		return NULL;
	*len = strcspn(message->signature + 2, ",");
	return message->signature + 2;
}

const char *
signature_check(const struct signature_keys *keys,
    const struct signature_message *message, int64_t now_s)
{
	bool is_standard = keys->scheme == SIGNATURE_STANDARD, is_right;
	const char *timestamp = message->timestamp;
	size_t len = timestamp == NULL ? 0 : strlen(timestamp);
	char *head;

	if (message->signature == NULL ||
	    (is_standard && (message->id == NULL || timestamp == NULL)))
		return "it is not signed";
	if (!is_standard && (timestamp = find_timestamp(message, &len)) == NULL)
		return "its signature is malformed";
	if (!is_recent(timestamp, len, now_s))
		return "its timestamp is not within five minutes of our clock";
	if (asprintf(&head, "%s%s%.*s.", is_standard ? message->id : "",
		is_standard ? "." : "", (int)len, timestamp) < 0)
		memory_die();
	is_right = is_signed(keys, head, message);
	free(head);
	return is_right ? NULL : "no signature is by one of our secrets";
}

#else

bool
signature_read_keys(struct signature_keys *keys, enum signature_scheme scheme,
    const char *path)
{
	*keys = (struct signature_keys){ .scheme = scheme };
	log_error("cannot use '%s': this program is built without OpenSSL",
	    path);
	return false;
}

void
signature_sign(const struct signature_secret *secret, const char *id,
    int64_t time_s, const char *body, char text[SIGNATURE_LEN])
{
	(void)secret, (void)id, (void)time_s, (void)body;
	text[0] = '\0';
}

const char *
signature_check(const struct signature_keys *keys,
    const struct signature_message *message, int64_t now_s)
{
	(void)keys, (void)message, (void)now_s;
	return "this program is built without OpenSSL";
}

#endif
