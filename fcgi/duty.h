/* SPDX-License-Identifier: MIT */
/*
 * Who waits at the socket for the next request.
 *
 * Of the processes it is one: what all its requests want travels in one
 * transaction, and a second process would only make two of it.  The others
 * stand by: when somebody is at the door and for a moment nobody is let in,
 * because that process has died, is frozen or has no thread left, the one that
 * notices takes its place.
 *
 * Of its threads it is the one that has answered last: its memory is warm, and
 * there need not be more of them than are at work at a time.
 */
#ifndef FCGI_DUTY_H
#define FCGI_DUTY_H

#include <sys/queue.h>

#include <semaphore.h>
#include <stdbool.h>

struct duty;

/* A thread's part of it. */
struct duty_thread {
	sem_t called; /* to the socket */
	SLIST_ENTRY(duty_thread) link;
};

/* In the master, before there are workers: the socket must not block. */
struct duty *duty_new(int listen_fd);
void duty_free(struct duty *duty);

/* In a worker, before there are threads. */
void duty_enter(struct duty *duty, int slot);

/* In each thread, before it waits first and after it has waited last. */
void duty_begin(struct duty_thread *self);
void duty_end(struct duty_thread *self);

/*
 * Waits for somebody to connect, and calls the next thread.  That it returns
 * true is no promise that nobody else accepts first.  False: it is time to
 * stop.
 */
bool duty_wait(struct duty *duty, struct duty_thread *self);

/* Whether another thread of this process waits at the socket. */
bool duty_is_attended(struct duty *duty);

/* Tells the other processes that this one accepts what comes. */
void duty_accepted(struct duty *duty);

/* Lets duty_wait return false in all threads of this process, from now on. */
void duty_stop(struct duty *duty);

#endif
