/* SPDX-License-Identifier: MIT */
/*
 * Posts events as Standard Webhooks 1.0.0 says: with the headers webhook-id,
 * webhook-timestamp and webhook-signature.
 */
#ifndef DAEMON_WEBHOOK_H
#define DAEMON_WEBHOOK_H

#include <stdbool.h>

#include <durable/step.h>

/* For how long the receiver may take; main sets it, 100 to 50000. */
extern int webhook_timeout_ms;

/*
 * Sets the receiver, an http or https URL that must live until the next call,
 * and reads the secrets from a file (webhook/signature.h): every event is signed
 * by each of them.  Call it before the first worker, and again for later ones.
 * Returns false, with a line in the log and nothing changed, when one of them is
 * missing or wrong, or the program is built without libcurl.
 */
bool webhook_open(const char *url, const char *secret_file);

/*
 * An external step: posts the body, a string of JSON, under the key of the step.
 * Returns the status of the answer, 200 to 299; the error NotTaken for another
 * answer or for none; the final error Gone for 410, by which a receiver says
 * that it wants no more.  Redirections are not followed, and the answer's body
 * is not read beyond 64 KiB.
 */
json_object *webhook_post(struct step_call *call, json_object *body);

#endif
