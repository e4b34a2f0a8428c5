/* SPDX-License-Identifier: MIT */
/*
 * The socket that nginx connects to.
 */
#ifndef FCGI_LISTEN_H
#define FCGI_LISTEN_H

/*
 * Returns a listening, non-blocking socket: bound to the path with mode 0660,
 * or, when the path is NULL or "", the one that the process inherited on
 * descriptor 3 (LISTEN_FDS, sd_listen_fds(3)) or 0 (spawn-fcgi(1)).  The socket
 * of a dead server is replaced by a rename, so a client always finds one of
 * the two.  Returns -1 after logging why.  Waits up to two seconds for the old
 * server to leave.
 */
int listen_open(const char *path);

/*
 * Closes the socket and removes its path, if it has one and no other server
 * listens there by now.
 */
void listen_close(const char *path, int fd);

#endif
