/* SPDX-License-Identifier: MIT */
/*
 * The clock for durations: it never jumps, and it counts from another moment on
 * each host.
 */
#ifndef DURABLE_CLOCK_H
#define DURABLE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds since a fixed moment in the past. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

#endif
