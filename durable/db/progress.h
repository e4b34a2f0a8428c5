/* SPDX-License-Identifier: MIT */
/*
 * Tells a server that is silent for too long from one behind a slow line, by
 * the bytes that come and go.
 */
#ifndef DURABLE_PROGRESS_H
#define DURABLE_PROGRESS_H

#include <stdint.h>

/* What a wait for the server has seen of its progress. */
struct progress {
	int64_t since_ms; /* when bytes last came or went */
	int unsent;       /* bytes in the socket that the server's host lacks */
};

enum progress_verdict {
	PROGRESS_READY,  /* or interrupted */
	PROGRESS_LATE,   /* not ready: the server may be gone */
	PROGRESS_GIVE_UP /* no byte came or went for too long */
};

/* A wait that begins now. */
struct progress progress_begin(void);

/* Blocks until the socket is ready for the events of poll(2), or late. */
enum progress_verdict
progress_wait(struct progress *progress, int fd, short events);

#endif
