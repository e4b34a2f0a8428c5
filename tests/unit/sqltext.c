/* SPDX-License-Identifier: MIT */
/*
 * The first words of statements: which are the engine's own.
 */
#include "db/sqltext.h"
#include "tests/unit/tap.h"

static const struct {
	const char *sql, *wanted;
} texts[] = {
	{ "select 1", NULL },
	{ "(select 1)", NULL },
	{ "-- commit\nselect 1", NULL },
	{ "-- select\r\ncommit", "COMMIT" },
	{ "/* rollback */ update t set n = 1", NULL },
	{ "/* /* */ select */ rollback", "ROLLBACK" },
	{ "/**/end/**/", "END" },
	{ "/*/ select */begin", "BEGIN" },
	{ "/***/abort", "ABORT" },
	{ " ; ;\n\tstart transaction", "START" },
	{ "Savepoint s", "SAVEPOINT" },
	{ "release s", "RELEASE" },
	{ "prepare transaction 'x'", "PREPARE" },
	{ "execute p", "EXECUTE" },
	{ "deallocate all", "DEALLOCATE" },
	{ "SET search_path = x", "SET" },
	{ "set constraints all deferred", "SET" },
	{ "reset all", "RESET" },
	{ "discard temp", "DISCARD" },
	{ "listen c", "LISTEN" },
	{ "unlisten *", "UNLISTEN" },
	{ "load 'x'", "LOAD" },
	{ "declare c cursor for select 1", "DECLARE" },
	{ "fetch c", "FETCH" },
	{ "move c", "MOVE" },
	{ "close c", "CLOSE" },
	{ "copy t from stdin", "COPY" },
	{ "copy(select 1) to stdout", "COPY" },
	{ "vacuum", "VACUUM" },
	{ "checkpoint;", "CHECKPOINT" },
	{ "select pg_advisory_lock(1)", "pg_advisory_lock" },
	{ "select Pg_Try_Advisory_Lock_Shared(1)", "pg_try_advisory_lock" },
	{ "select pg_catalog.pg_advisory_unlock_all()", "pg_advisory_unlock" },
	{ "select pg_advisory_xact_lock(1)", NULL },
	{ "create temp table t ()", "CREATE TEMPORARY" },
	{ "create temporary sequence s", "CREATE TEMPORARY" },
	{ "create /* */ local temp table t ()", "CREATE TEMPORARY" },
	{ "create global temporary table t ()", "CREATE TEMPORARY" },
	{ "create or replace temp view v as select 1", "CREATE TEMPORARY" },
	{ "create table temp ()", NULL },
	{ "create or replace function f() returns int", NULL },
	{ "create", NULL },
	{ "lock t", NULL },
	{ "notify c", NULL },
	{ "settings", NULL },
	{ "set_config", NULL },
	{ "begin_it", NULL },
	{ "commit\xc3\xa9", NULL },
	{ "\"commit\"", NULL },
	{ "- - commit", NULL },
	{ "/ * commit", NULL },
	{ NULL, "" },
	{ "", "" },
	{ " \f\v\r\n\t", "" },
	{ "--", "" },
	{ "-- commit", "" },
	{ "/* commit", "" },
	{ "/* /* */ commit", "" },
	{ "/*", "" },
	{ ";;", "" },
	{ "((", "" },
};

int
main(void)
{
	size_t i, n = sizeof(texts) / sizeof(texts[0]);

	for (i = 0; i < n; i++) {
		char title[128];

		snprintf(title, sizeof(title), "%s: %.60s",
		    texts[i].wanted == NULL     ? "may be sent"
			: *texts[i].wanted == 0 ? "is empty"
						: "may not be sent",
		    texts[i].sql == NULL ? "NULL" : texts[i].sql);
		/* A title has one line. */
		title[strcspn(title, "\n\r")] = '\0';
		is_str(sqltext_forbidden(texts[i].sql), texts[i].wanted, title);
	}
	return done_testing();
}
