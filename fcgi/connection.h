/* SPDX-License-Identifier: MIT */
/*
 * The connections of the web server: a request and its answer, each within a
 * time, so that a silent client costs a thread no longer than that.
 */
#ifndef FCGI_CONNECTION_H
#define FCGI_CONNECTION_H

#include <stdbool.h>

struct fastcgi;
struct strbuf;

/*
 * Accepts a connection on a listening socket, which may be non-blocking and
 * shared, and reads a request from it, for at most timeout_ms.  Returns the
 * connection's descriptor, which the caller gives to connection_end; -1 when
 * there was no connection, or no whole and well-formed request in this time,
 * which is logged at most once a second.
 */
int connection_accept(int listen_fd, struct fastcgi *request, int timeout_ms);

/*
 * Sends the bytes of an answer, for at most timeout_ms, and closes the
 * connection.  A failure only means that the client has gone.
 */
void connection_end(int fd, const struct strbuf *answer, int timeout_ms);

#endif
