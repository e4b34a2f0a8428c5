/* SPDX-License-Identifier: MIT */
/*
 * resolver: to be preloaded; a name service for names that end in ".test".
 *
 * slow.test has no answer for as long as a test lasts, gone.test no address,
 * here.test the address 127.0.0.1 and two.test a second one behind 127.0.0.2.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

typedef int lookup_function(const char *, const char *, const struct addrinfo *,
    struct addrinfo **);

#define ANSWER_S 300

int
getaddrinfo(const char *restrict name, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	lookup_function *real = (lookup_function *)dlsym(RTLD_NEXT,
	    "getaddrinfo");
	struct addrinfo *second = NULL;
	int error;

	if (name != NULL && strcmp(name, "slow.test") == 0) {
		sleep(ANSWER_S);
		return EAI_AGAIN;
	}
	if (name != NULL && strcmp(name, "gone.test") == 0)
		return EAI_NONAME;
	if (name != NULL && strcmp(name, "here.test") == 0)
		return real("127.0.0.1", service, hints, found);
	if (name == NULL || strcmp(name, "two.test") != 0)
		return real(name, service, hints, found);
	error = real("127.0.0.2", service, hints, found);
	if (error == 0)
		error = real("127.0.0.1", service, hints, &second);
	if (error == 0)
		(*found)->ai_next = second;
	return error;
}
