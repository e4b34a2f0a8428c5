/* SPDX-License-Identifier: MIT */
/*
 * The torture suite: workflows that do what no workflow should
 * (torture_statements.c, torture_code.c), and beside them in the same turns workflows that move
 * money (torture_right.c).  torture.c generates, starts and judges them.
 */
#ifndef TESTS_TORTURE_H
#define TESTS_TORTURE_H

#include <stddef.h>
#include <stdint.h>

#include <durable/workflow.h>

/* A generator of numbers: the same seed gives the same workflows. */
struct chance {
	uint64_t state;
};

/* The next number below limit. */
unsigned chance_below(struct chance *chance, unsigned limit);

/* One of the texts. */
const char *
chance_of(struct chance *chance, size_t count, const char *const texts[]);

/* What a workflow is to do, in the generator's words. */
struct deed {
	json_object *input; /* the generator adds to it */
	const char *status; /* how it ends: "any", or the wait it stays in */
	const char *says;   /* that its output or error contains, or NULL */
};

/* Read and add members of an input. */
const char *deed_text(json_object *input, const char *name);
int deed_number(json_object *input, const char *name);
void deed_put_text(struct deed *deed, const char *name, const char *text);
void deed_put_number(struct deed *deed, const char *name, unsigned number);

/*
 * A kind of workflow.  make, if any, adds to the input of one, and may change
 * what it comes to.
 */
struct kind {
	const char *name;  /* of its type */
	const char *title; /* its promise */
	workflow_function *function;
	int share; /* how many there are of a round */
	const char *status, *says;
	void (*make)(struct chance *chance, struct deed *deed);
};

extern const struct kind statement_kinds[], code_kinds[];
/* What torture.leave leaves in a session; NULL ends them. */
extern const char *const leftovers[];
extern const size_t statement_kinds_count, code_kinds_count;

/* The kind that moves money, and the types of its and others' children. */
extern const struct kind right_kind;
extern const struct workflow_type echo_type, deep_type;

/* How many accounts there are, numbered from 1. */
#define ACCOUNTS 128

#endif
