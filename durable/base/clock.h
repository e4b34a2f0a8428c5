/* SPDX-License-Identifier: MIT */
/*
 * The clock for durations: it never jumps, and means nothing to others.
 */
#ifndef DURABLE_CLOCK_H
#define DURABLE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds since some time in the past. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

#endif
