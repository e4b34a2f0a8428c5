/* SPDX-License-Identifier: MIT */
/*
 * The clock for durations: it never jumps, and means nothing to others.
 */
#ifndef DURABLE_MONOTONIC_H
#define DURABLE_MONOTONIC_H

#include <stdint.h>

/* Milliseconds and microseconds since some time in the past. */
int64_t monotonic_ms(void);
int64_t monotonic_us(void);

#endif
