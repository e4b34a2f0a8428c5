/* SPDX-License-Identifier: MIT */
/*
 * External steps, and the choice of what to wait for: no end of a step is lost
 * or recorded twice, no workflow waits for ever.  A model, for SPIN, of
 * durable/engine/{turn,step_trip}.c and of sql/durable/{external,write}.sql.
 *
 * A workflow begins two steps, waits for the first of them, records which it
 * was, and waits for the other.  Two step masters run the steps.  At any moment
 * a worker or a step master may die, and PostgreSQL rolls back what it has
 * open and releases its advisory lock.  All notifications are lost.
 *
 * A step of the model is a statement under READ COMMITTED.  Mutants, each a
 * macro, take away one thing that the protocol needs; tests/stories/model.tap
 * has the list.
 */

#ifndef DEATHS
#define DEATHS		1
#endif

byte deaths = 0;

/* durable.external_steps, its locks, and the master that has the row. */
mtype = { NONE, THERE, GONE };
mtype row[2] = NONE;
byte owner[2];		/* a master's _pid; 0: none, or its lock has gone */
bool shared[2];		/* by the turn */
byte deleting[2];	/* a master's _pid, until it commits */

/* dbos.operation_outputs. */
bool journal[2];
byte records[2];
byte choices = 0;

/* durable.waits, and the steps that it is about, as bits. */
mtype = { DUE, SOON, LATER };
mtype wake_at = DUE;
byte items = 0;
bool ended = false;

#define bit_of(s)	(1 << (s))
#define is_item(s)	((items >> (s)) & 1)

/* look_at_steps: "for share skip locked", then one look at both tables. */
inline look_at(s)
{
	atomic {
		locked = false;
		if
		:: row[s] == THERE && deleting[s] == 0 ->
#ifdef NO_SHARE_LOCK
			locked = true
#else
			shared[s] = true;
			locked = true
#endif
		:: else -> skip
		fi
	}
	if
	:: locked -> skip
	:: else ->
		atomic {
			if
			:: journal[s] -> new_wake = DUE
			:: !journal[s] && row[s] == THERE -> new_wake = SOON
			:: else -> skip
			fi
		}
	fi
}

/* "rollback", of a worker that has died. */
#define MAY_DIE	\
	if \
	:: atomic { deaths < DEATHS -> deaths++; shared[0] = false; \
		shared[1] = false; goto again } \
	:: skip \
	fi

active proctype worker()
{
	bool seen[2], locked;
	byte new_items, chosen;
	mtype new_wake;

again:
	do
	:: ended -> break
	:: wake_at == DUE && !ended && row[0] == NONE ->
		/* turn_external, with the wait: no master sees these rows. */
		MAY_DIE;
		atomic {
			row[0] = THERE;
			row[1] = THERE;
			items = 3;
			wake_at = LATER
		}
	:: wake_at == DUE && !ended && row[0] != NONE ->
		/* turn_load */
		atomic {
			seen[0] = journal[0];
			seen[1] = journal[1]
		}
		chosen = 0;
		new_items = 3;
		if
		:: seen[0] && seen[1] -> new_items = 0; chosen = 1
		:: seen[0] && !seen[1] -> new_items = bit_of(1); chosen = 1
		:: !seen[0] && seen[1] -> new_items = bit_of(0); chosen = 1
		:: else -> skip
		fi;
		MAY_DIE;
		new_wake = LATER;
#ifndef NO_SECOND_LOOK
		if
		:: (new_items & 1) -> look_at(0)
		:: else -> skip
		fi;
		if
		:: (new_items & 2) && new_wake != DUE ->
			look_at(1)
		:: else -> skip
		fi;
#endif
		MAY_DIE;
		atomic {
			/* A replay finds the choice in the journal. */
			choices = (chosen && choices == 0 -> 1 : choices);
			items = new_items;
			wake_at = new_wake;
			ended = (new_items == 0);
			shared[0] = false;
			shared[1] = false
		}
	od
}

/* The 10 ms of a step that was being settled. */
active proctype timer()
{
end:
	do
	:: atomic { wake_at == SOON -> wake_at = DUE }
	:: ended -> break
	od
}

/* Settles the steps that it takes; the first process is no master. */
#define MASTER_MAY_DIE	\
	if \
	:: atomic { deaths < DEATHS -> deaths++; \
		owner[s] = (owner[s] == me -> 0 : owner[s]); \
		deleting[s] = (deleting[s] == me -> 0 : deleting[s]); \
		goto again } \
	:: skip \
	fi

/* step_settle's wake-up: of a wait that has committed and is not due. */
inline look_for_wait()
{
	wakes = (wake_at != DUE && is_item(s))
}

active [2] proctype master()
{
	byte me = _pid, s;
	bool wakes, deleted;

again:
end:
	do
	:: ended -> break
	:: atomic {
		/* step_take */
		if
		:: row[0] == THERE && owner[0] == 0 && !shared[0] &&
		    deleting[0] == 0 -> s = 0
		:: row[1] == THERE && owner[1] == 0 && !shared[1] &&
		    deleting[1] == 0 -> s = 1
		fi;
		owner[s] = me
	   }
		MASTER_MAY_DIE;
#ifdef LOOK_BEFORE_DELETE
		look_for_wait();
#endif
		/* step_settle deletes the row, when it is still its own. */
		atomic {
			!shared[s] && (deleting[s] == 0 || row[s] != THERE);
			deleted = (row[s] == THERE && owner[s] == me);
			deleting[s] = (deleted -> me : deleting[s])
		}
		MASTER_MAY_DIE;
#ifndef LOOK_BEFORE_DELETE
		look_for_wait();
#endif
		MASTER_MAY_DIE;
		atomic {
			if
#ifdef KEEP_ROW
			:: deleted -> deleting[s] = 0; owner[s] = 0;
#else
			:: deleted -> deleting[s] = 0; row[s] = GONE;
#endif
				journal[s] = true;
				records[s]++;
				assert(records[s] <= 1);
				if
				:: wakes && wake_at != DUE -> wake_at = DUE
				:: else -> skip
				fi
			:: else -> skip
			fi
		}
	od
}

active proctype monitor()
{
	timeout;
	assert(ended && choices == 1)
}
