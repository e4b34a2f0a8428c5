/* SPDX-License-Identifier: MIT */
/*
 * The version of our part of the database that this program is made for.
 */
#ifndef DURABLE_SCHEMA_H
#define DURABLE_SCHEMA_H

struct arena;
struct db;

/* What widget-store-install leaves in durable.version. */
#define SCHEMA_VERSION 1

enum schema_state {
	SCHEMA_CURRENT,
	SCHEMA_WRONG,  /* missing or of another version; logged */
	SCHEMA_UNKNOWN /* the database did not answer */
};

/* Asks the database which version is installed. */
enum schema_state schema_check(struct db *db, struct arena *arena);

#endif
