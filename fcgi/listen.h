/* SPDX-License-Identifier: MIT */
/*
 * The socket that nginx connects to.
 */
#ifndef FCGI_LISTEN_H
#define FCGI_LISTEN_H

/*
 * Returns a listening socket, non-blocking: one bound to the path, mode 0660,
 * or without a path the one that the process was started with, on descriptor
 * 3 (LISTEN_FDS, sd_listen_fds(3)) or 0 (spawn-fcgi(1)).  A socket that a
 * dead server has left is replaced, and those who connect at that moment find
 * the one or the other.  Returns -1 when there is no socket to be had, and
 * has logged why.
 */
int listen_open(const char *path);

/* Removes the path, unless it has become another server's. */
void listen_close(const char *path, int fd);

#endif
