/* SPDX-License-Identifier: MIT */
/*
 * What a service says to its manager, as sd_notify(3) describes: datagrams to
 * the socket that $NOTIFY_SOCKET names.  Without a manager nothing is sent.
 */
#ifndef DURABLE_SERVICE_H
#define DURABLE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

/* Sends assignments, such as "READY=1\nSTATUS=...", one to a line. */
void
service_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Within how many milliseconds the manager wants to hear WATCHDOG=1 from this
 * process, or 0: never.
 */
int64_t service_watchdog_ms(void);

#endif
