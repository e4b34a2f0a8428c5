/* SPDX-License-Identifier: MIT */
/*
 * I5 of docs/design.md: no wake-up is lost, no effect happens twice, no
 * workflow waits for ever.  A model, for SPIN, of durable/engine/turn.c and of
 * sql/durable/{take,load,write,wake}.sql.
 *
 * Three workflows begin in a queue.  The receiver sends the setter a message
 * that the setter never reads, then waits for two: one from a client, one from
 * the setter.  The setter sends its message and sets its event.  The watcher
 * waits for the event.  Every wait is followed by a step that has an effect.
 *
 * Two workers run turns.  At any moment a worker may die, and PostgreSQL rolls
 * its turn back; so may the client, and it repeats.  The time-outs of the waits
 * may come at any moment, or never.  All notifications are lost.
 *
 * A step of the model is a statement under READ COMMITTED: it sees what has
 * committed when it begins and what its own transaction has written, and having
 * waited for a row it goes on with the row's newest version.  A quotation is
 * the line of those files that a step models.
 *
 * Mutants, each a macro, take away one thing that the protocol needs, and must
 * fail; tests/stories/model.tap has the list.
 */

#ifndef DEATHS
#define DEATHS		1
#endif

#define RECEIVER	0
#define SETTER		1
#define WATCHER		2
#define WORKFLOWS	3

#define bit_of(w)	(1 << (w))

/* The parties with transactions: two workers, a client, perhaps another SDK. */
#define CLIENT		2
#ifdef FOREIGN_SETTER
#define FOREIGNER	3
#define PARTIES		4
#else
#define PARTIES		3
#endif
#define is_worker(me)	((me) < CLIENT)

/*
 * Row locks, PostgreSQL 13.3.2.  Two modes conflict when their numbers add up
 * to 5 or more, which gives the whole table of that section.
 */
#define KEY_SHARE	1
#define SHARE		2
#define NO_KEY_UPDATE	3
#define UPDATE		4

/* dbos.workflow_status: what has committed, and the locks. */
mtype = { ENQUEUED, PENDING, SUCCESS };
mtype status[WORKFLOWS] = ENQUEUED;
byte status_lock[12];

#define lock_of(w, party)	status_lock[(w) * PARTIES + (party)]
#define peace(w, mode, party)	\
	((party) == me || lock_of(w, party) + (mode) < 5)
#ifdef FOREIGN_SETTER
#define lockable(w, mode)	\
	(peace(w, mode, 0) && peace(w, mode, 1) && peace(w, mode, CLIENT) && \
	peace(w, mode, FOREIGNER))
#else
#define lockable(w, mode)	\
	(peace(w, mode, 0) && peace(w, mode, 1) && peace(w, mode, CLIENT))
#endif

/*
 * durable.waits: wake_at as it has committed, as its locker will commit it, and
 * the party that has the row locked, plus 1 (0: none).
 */
mtype = { NO_ROW, DUE, SOON, LATER };
mtype wake_at[WORKFLOWS] = NO_ROW;
mtype wake_at_written[WORKFLOWS] = NO_ROW;
byte wait_lock[WORKFLOWS];

#define is_mine(w)	(wait_lock[w] == me + 1)
/* No party waits for an uncommitted insert, because none sees it. */
#define is_free(w)	(wait_lock[w] == 0 || wake_at[w] == NO_ROW)
#define is_due(w)	(wake_at[w] == DUE || (wake_at[w] == LATER && over))

/* dbos.notifications and dbos.workflow_events. */
mtype = { UNSENT, UNREAD, READ };
mtype message[2] = UNSENT;
#define CLIENTS		0	/* the client's */
#define SETTERS		1	/* the setter's */
bool event;

/* The number of waits that are over, as the journal has it; their effects. */
byte journal[WORKFLOWS];
byte effects[WORKFLOWS];

/* The world. */
bool over;			/* all time-outs have come */
byte deaths = DEATHS;		/* still to come */
bool queueing[PARTIES];		/* for a lock that another may have */
bool hinted = true;		/* a notification has arrived */

#define all_is_well	\
	(status[RECEIVER] == SUCCESS && status[SETTER] == SUCCESS && \
	status[WATCHER] == SUCCESS && message[CLIENTS] != UNSENT)

inline lock_status(w, mode)
{
	if
	:: lock_of(w, me) < mode -> lock_of(w, me) = mode
	:: else
	fi
}

inline write_wait(w, time)
{
	wait_lock[w] = me + 1;
	wake_at_written[w] = time
}

/* Ends the transaction of me, committed or rolled back. */
inline release()
{
	for (i : 0 .. WORKFLOWS - 1) {
		lock_of(i, me) = 0;
		if
		:: is_mine(i) ->
			wait_lock[i] = 0;
			wake_at_written[i] = NO_ROW
		:: else
		fi
	}
	queueing[me] = false;
	i = 0
}

/*
 * For liveness, a lock goes to the party that waits for it before one that
 * comes some milliseconds later; safety does not need that.
 */
#ifndef FAIR
#define FAIR		0
#endif
#define no_party_queues	\
	(!FAIR || (!queueing[0] && !queueing[1] && !queueing[CLIENT] && \
	!queueing[PARTIES - 1]))

#define or_die	\
	:: atomic { deaths > 0 -> deaths--; goto died }

/*
 * "set lock_timeout = '200ms'": the turn is repeated.  It is
 * meant for two turns that wait for each other, but may strike other turns.
 */
#ifdef NO_LOCK_TIMEOUT
#define or_time_out(available)
#else
#define or_time_out(available)	\
	:: atomic { \
		is_worker(me) && !(available) && \
		(!FAIR || queueing[1 - me]) -> goto died \
	}
#endif

/* The foreign key of a message: its destination FOR KEY SHARE. */
inline check_foreign_key(destination)
{
	queueing[me] = true;
	if
	:: d_step {
		lockable(destination, KEY_SHARE) ->
		lock_status(destination, KEY_SHARE);
		queueing[me] = false
	}
	or_time_out(lockable(destination, KEY_SHARE))
	or_die
	fi
}

/*
 * wake_by_message and wake_by_event: "update durable.waits as w set wake_at =
 * least(w.wake_at, durable.now_ms()) where ... w.wake_at > durable.now_ms()": a
 * wake-up does not wait for the row of a due workflow.
 */
#ifdef WAKE_SKIPS_LOCKED
#define left_alone(w)	(!is_mine(w) && (is_due(w) || !is_free(w)))
#else
#define left_alone(w)	(!is_mine(w) && is_due(w))
#endif
#define wakeable(w)	(is_mine(w) || is_free(w) || left_alone(w))
inline wake(w)
{
	queueing[me] = true;
	if
	:: d_step {
		wakeable(w) ->
		if
		:: is_mine(w) && wake_at_written[w] != NO_ROW ->
			wake_at_written[w] = DUE
		:: !is_mine(w) && wake_at[w] != NO_ROW && !left_alone(w) ->
			write_wait(w, DUE)
		:: else
		fi;
		queueing[me] = false
	}
	or_time_out(wakeable(w))
	or_die
	fi
}

/* turn_take, waiting: "where w.type = t.type and w.wake_at <= present_ms". */
inline find_due()
{
	for (i : 0 .. WORKFLOWS - 1) {
		if
		:: is_due(i) -> due = due | bit_of(i)
		:: else
		fi
	}
	i = 0
}

/*
 * "for update of s, w skip locked": a workflow that is no longer due when both
 * rows are locked is left out, and stays locked.
 */
inline take_due()
{
	for (i : 0 .. WORKFLOWS - 1) {
		if
		:: (due & bit_of(i)) && lockable(i, UPDATE) ->
#ifndef NO_CLAIM
			lock_status(i, UPDATE);
#endif
			if
			:: is_free(i) && wake_at[i] != NO_ROW ->
#ifndef NO_CLAIM
				write_wait(i, wake_at[i]);
#endif
				if
				:: status[i] == PENDING && is_due(i) ->
					taken = taken | bit_of(i)
				:: else
				fi
			:: else
			fi
		:: else
		fi
	}
	due = 0;
	i = 0
}

/* turn_take, enqueued: "for update of s skip locked". */
inline take_enqueued()
{
	for (i : 0 .. WORKFLOWS - 1) {
		if
		:: status[i] == ENQUEUED && lockable(i, UPDATE) ->
			taken = taken | bit_of(i);
			begun = begun | bit_of(i);
			lock_status(i, UPDATE)
		:: else
		fi
	}
	i = 0
}

/* turn_inbox: "where not n.consumed". */
inline look_for_messages()
{
	seen[CLIENTS] = message[CLIENTS] == UNREAD;
	seen[SETTERS] = message[SETTERS] == UNREAD
}

/* turn_load: "from dbos.operation_outputs as o". */
inline load_journal()
{
	known = journal[RECEIVER]
}

/* The receiver in wf_recv: take_message, or the time-out. */
inline receive()
{
	if
	:: known + made < 2 && seen[CLIENTS] ->
		seen[CLIENTS] = false;
		read = read | bit_of(CLIENTS);
		made++
	:: known + made < 2 && !seen[CLIENTS] && seen[SETTERS] ->
		seen[SETTERS] = false;
		read = read | bit_of(SETTERS);
		made++
	:: known + made < 2 && !seen[CLIENTS] && !seen[SETTERS] && over ->
		made++
	:: else
	fi
}

inline run_receiver()
{
	if
	:: taken & bit_of(RECEIVER) ->
		receive();
		receive();
		if
		:: known + made == 2 -> ended = ended | bit_of(RECEIVER)
		:: else
		fi
#ifdef EFFECT_OUTSIDE
		; effects[RECEIVER] = effects[RECEIVER] + made
#endif
	:: else
	fi;
	seen[CLIENTS] = false;
	seen[SETTERS] = false
}

/* The watcher in wf_get_event: "from durable.workflow_event($1, $2)". */
inline run_watcher()
{
	if
	:: (taken & bit_of(WATCHER)) && (event || over) ->
		ended = ended | bit_of(WATCHER)
	:: else
	fi
}

inline run_setter()
{
	ended = ended | (taken & bit_of(SETTER))
}

/*
 * turn_end_waits: "delete from durable.waits"; turn_waits: "insert into
 * durable.waits ... on conflict on constraint waits_pkey do update".
 */
#define writable(w)	((taken & bit_of(w)) == 0 || is_mine(w) || is_free(w))
#define all_writable	\
	(writable(RECEIVER) && writable(SETTER) && writable(WATCHER))

inline write_waits()
{
	for (i : 0 .. WORKFLOWS - 1) {
		if
		:: taken & ended & bit_of(i) -> write_wait(i, NO_ROW)
		:: taken & ~ended & bit_of(i) -> write_wait(i, LATER)
		:: else
		fi
	}
	i = 0
}

/*
 * The second look: "perform from dbos.workflow_status as s ... for update skip
 * locked; if not found then ... 10".
 */
#ifndef LOOK
#define LOOK		UPDATE
#endif
inline lock_watched()
{
	if
#ifdef LOOK_WITHOUT_LOCK
	:: true -> skip
#else
	:: lockable(SETTER, LOOK) -> lock_status(SETTER, LOOK)
#endif
	:: else ->
		wake_at_written[WATCHER] = SOON;
		watched = false
	fi
}

/* "elsif watched.kind = 'event' and exists (...)". */
inline look_again()
{
	if
	:: event -> wake_at_written[WATCHER] = DUE
	:: else
	fi
}

inline turn_waits()
{
	if
	:: d_step { all_writable -> write_waits() }
	or_time_out(all_writable)
	or_die
	fi;
#ifndef NO_SECOND_LOOK
	watched = (taken & ~ended & bit_of(WATCHER)) != 0;
	if
	:: watched ->
		if
		:: d_step { lock_watched() }
		or_die
		fi
	:: else
	fi;
	if
	:: watched ->
		if
		:: d_step { look_again(); watched = false }
		or_die
		fi
	:: else
	fi
#endif
}

/* turn_messages, "order by n.destination", then its trigger. */
inline turn_messages()
{
	if
	:: taken & bit_of(SETTER) -> check_foreign_key(RECEIVER)
	:: else
	fi;
	if
	:: begun & bit_of(RECEIVER) -> check_foreign_key(SETTER)
	:: else
	fi;
	if
	:: taken & bit_of(SETTER) -> wake(RECEIVER)
	:: else
	fi
}

/* turn_events and its trigger. */
inline turn_events()
{
	if
	:: taken & bit_of(SETTER) -> wake(WATCHER)
	:: else
	fi
}

/* Makes visible what turn_journal, turn_consumed and turn_statuses wrote. */
inline commit()
{
	for (i : 0 .. 1) {
		if
		:: read & bit_of(i) -> message[i] = READ
		:: else
		fi
	}
	if
	:: taken & bit_of(SETTER) ->
		message[SETTERS] = UNREAD;
		event = true
	:: else
	fi;
	if
	:: taken & bit_of(RECEIVER) ->
		journal[RECEIVER] = known + made;
#ifndef EFFECT_OUTSIDE
		effects[RECEIVER] = effects[RECEIVER] + made
#endif
	:: else
	fi;
	if
	:: taken & ended & bit_of(WATCHER) ->
		journal[WATCHER] = 1;
		effects[WATCHER]++
	:: else
	fi;
	for (i : 0 .. WORKFLOWS - 1) {
		if
		:: taken & ended & bit_of(i) -> status[i] = SUCCESS
		:: taken & ~ended & bit_of(i) -> status[i] = PENDING
		:: else
		fi;
		if
		:: is_mine(i) -> wake_at[i] = wake_at_written[i]
		:: else
		fi
	}
	/* No effect happens twice. */
	assert(effects[RECEIVER] == journal[RECEIVER]);
	assert(effects[WATCHER] == journal[WATCHER]);
	release()
}

/*
 * pg_notify, or its loss, which matters only to the mutant without a safety
 * interval.
 */
inline hint()
{
	if
#ifdef NO_SAFETY_INTERVAL
	:: hinted = true
#endif
	:: skip
	fi
}

inline forget()
{
	due = 0;
	taken = 0;
	begun = 0;
	ended = 0;
	read = 0;
	known = 0;
	made = 0;
	watched = false;
	seen[CLIENTS] = false;
	seen[SETTERS] = false
}

#define can_take(w)	\
	(((status[w] == PENDING && is_due(w)) || status[w] == ENQUEUED) && \
	lockable(w, UPDATE))
#define has_work	\
	(can_take(RECEIVER) || can_take(SETTER) || can_take(WATCHER))

proctype worker(byte me)
{
	byte i, due, taken, begun, ended, read, known, made;
	bool seen[2], watched;

end_idle:
#ifdef NO_SAFETY_INTERVAL
	if
	:: hinted && has_work
	:: atomic { hinted && !has_work -> hinted = false; goto end_idle }
	fi;
#else
	/* Polling once a second finds the work; a poll without work is no step. */
	has_work && no_party_queues;
#endif
#ifdef CHECK_BEFORE_LOCK
	d_step { look_for_messages() };
#endif
	/* turn_take. */
	if
	:: d_step { find_due() }
	or_die
	fi;
	if
	:: d_step { take_due() }
	or_die
	fi;
	if
	:: d_step { take_enqueued() }
	or_die
	fi;
	if
	:: d_step {
		load_journal();
#ifndef CHECK_BEFORE_LOCK
		look_for_messages();
#endif
		run_receiver()
	}
	or_die
	fi;
	if
	:: d_step { run_watcher(); run_setter() }
	or_die
	fi;
	/* The write set, in its order. */
#ifdef WAIT_AFTER_COMMIT
	d_step {
		for (i : 0 .. WORKFLOWS - 1) {
			if
			:: taken & bit_of(i) -> write_wait(i, NO_ROW)
			:: else
			fi
		}
		i = 0
	};
#elif !defined(WAITS_LAST)
	turn_waits();
#endif
	turn_messages();
	turn_events();
#ifdef WAITS_LAST
	turn_waits();
#endif
	if
	:: d_step { commit() }
	or_die
	fi;
	hint();
#ifdef WAIT_AFTER_COMMIT
	taken = taken & ~ended;
	turn_waits();
	d_step {
		for (i : 0 .. WORKFLOWS - 1) {
			if
			:: is_mine(i) -> wake_at[i] = wake_at_written[i]
			:: else
			fi
		}
		release()
	};
#endif
	d_step { forget() };
	goto end_idle;

died:	/* The turn is rolled back and the worker replaced. */
	atomic { release(); forget() };
	goto end_idle
}

/* client_submit: one message, repeated until it has committed. */
proctype client(byte me)
{
	byte i;
#ifdef OLD_SNAPSHOT
	bool seen;
#endif

died:
	atomic { release() };
#ifdef OLD_SNAPSHOT
	/* REPEATABLE READ, without the note in durable.arrivals. */
	seen = wake_at[RECEIVER] != NO_ROW;
#endif
	/* "insert into dbos.notifications". */
#ifndef NO_LOCK_BY_SENDER
	check_foreign_key(RECEIVER);
#endif
#ifdef OLD_SNAPSHOT
	if
	:: seen -> wake(RECEIVER)
	:: else
	fi;
#else
	wake(RECEIVER);
#endif
	if
	:: d_step {
		message[CLIENTS] = UNREAD;
		if
		:: is_mine(RECEIVER) ->
			wake_at[RECEIVER] = wake_at_written[RECEIVER]
		:: else
		fi;
		release()
	}
	or_die
	fi;
	hint()
}

#ifdef FOREIGN_SETTER
/* The setter, run by another SDK's executor, a transaction a write. */
proctype foreigner(byte me)
{
	byte i;

died:
	atomic { release() };
	if
	:: message[SETTERS] == UNSENT ->
		check_foreign_key(RECEIVER);
		wake(RECEIVER);
		d_step {
			message[SETTERS] = UNREAD;
			if
			:: is_mine(RECEIVER) ->
				wake_at[RECEIVER] = wake_at_written[RECEIVER]
			:: else
			fi;
			release()
		}
	:: else
	fi;
	/* The foreign key of dbos.workflow_events takes only this lock. */
	check_foreign_key(SETTER);
	wake(WATCHER);
	d_step {
		event = true;
		if
		:: is_mine(WATCHER) ->
			wake_at[WATCHER] = wake_at_written[WATCHER]
		:: else
		fi;
		release()
	};
	queueing[me] = true;
	d_step {
		lockable(SETTER, NO_KEY_UPDATE) ->
		status[SETTER] = SUCCESS;
		queueing[me] = false
	}
}
#endif

/* Time.  SOON always becomes due; the time-outs may never come. */
proctype clock()
{
end_soon:
	do
	:: d_step {
		wake_at[WATCHER] == SOON && wait_lock[WATCHER] == 0 ->
		wake_at[WATCHER] = DUE
	}
	od
}

proctype time_outs()
{
	if
	:: over = true
	:: skip
	fi
}

/*
 * When no process can take a step, all is done: none waits for a lock, or for a
 * message or an event that is there.
 */
proctype judge()
{
end_judge:
	timeout -> assert(all_is_well)
}

init {
	atomic {
#ifdef FOREIGN_SETTER
		status[SETTER] = PENDING;
		run foreigner(FOREIGNER);
#endif
		run worker(0);
		run worker(1);
		run client(CLIENT);
		run clock();
		run time_outs();
		run judge()
	}
}

/* Liveness: under fair scheduling all is done some day. */
ltl served { <> all_is_well }
