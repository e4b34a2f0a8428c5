/* SPDX-License-Identifier: MIT */
/*
 * Starts, feeds, watches and ends step processes.
 */
#include "engine/step_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <durable/engine.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/step_child.h"

/* How long a step that is to stop may look at the flag, and heed SIGTERM. */
#define FLAG_MS         200
#define TERM_MS         2000

#define TIMEOUT_MS      60000 /* of an attempt, unless its type says so */

/* After so many steps a process is replaced, with what they have leaked. */
#define STEPS_A_PROCESS 1000

struct step_process *
step_processes_new(const struct engine *engine, size_t count)
{
	struct step_process *processes = calloc(count, sizeof(*processes));
	struct step_flag *flags = mmap(NULL, count * sizeof(*flags),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (processes == NULL || flags == MAP_FAILED)
		abort();
	for (i = 0; i < count; i++) {
		processes[i].engine = engine;
		processes[i].flag = &flags[i];
		processes[i].fd = -1;
		processes[i].arena = arena_new();
	}
	return processes;
}

/* Ends the process and what it has left in its group, and waits for it. */
static int
kill_process(struct step_process *process)
{
	int how = 0;

	kill(-process->pid, SIGKILL);
	/* It may not have come to make its group. */
	kill(process->pid, SIGKILL);
	waitpid(process->pid, &how, 0);
	close(process->fd);
	process->pid = 0;
	process->fd = -1;
	process->steps = 0;
	process->signalled = false;
	strbuf_reset(&process->in);
	strbuf_reset(&process->out);
	return how;
}

void
step_processes_free(struct step_process *processes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (processes[i].pid != 0)
			kill_process(&processes[i]);
		strbuf_free(&processes[i].in);
		strbuf_free(&processes[i].out);
		strbuf_free(&processes[i].progress);
		arena_free(processes[i].arena);
	}
	munmap(processes[0].flag, count * sizeof(*processes[0].flag));
	free(processes);
}

/* The new process has a group of its own, and dies with its master. */
static void __attribute__((noreturn))
become_child(const struct step_process *process, int fd, pid_t master_pid)
{
	setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != master_pid)
		_exit(1);
	step_child_run(process->engine, fd, process->flag);
}

static bool
start(struct step_process *process)
{
	pid_t master_pid = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error("cannot make the socket of a step process: %s",
		    strerror(errno));
		return false;
	}
	process->pid = fork();
	if (process->pid == 0)
		become_child(process, ends[1], master_pid);
	close(ends[1]);
	setpgid(process->pid, process->pid);
	if (process->pid < 0) {
		log_error("cannot fork a step process: %s", strerror(errno));
		process->pid = 0;
		close(ends[0]);
		return false;
	}
	process->fd = ends[0];
	fcntl(process->fd, F_SETFL, O_NONBLOCK);
	return true;
}

static void
end_step(struct step_process *process, const struct step_outcome *outcome)
{
	process->outcome = *outcome;
	process->state = STEP_ENDED;
	process->term_ms = process->kill_ms = 0;
}

/* The attempt may take so long from now on. */
static void
begin_time(struct step_process *process)
{
	int timeout_ms = process->task.type->attempt_timeout_ms;

	process->late_ms = clock_monotonic_ms() +
	    (timeout_ms > 0 ? timeout_ms : TIMEOUT_MS);
}

static void
add_frame_text(struct strbuf *out, const char *text)
{
	strbuf_add(out, text == NULL ? "" : text,
	    text == NULL ? 1 : strlen(text) + 1);
}

/* Queues the frame of the task. */
static void
queue_task(struct step_process *process)
{
	const struct step_task *task = &process->task;
	struct arena *arena = process->arena;
	struct step_frame frame = { .kind = STEP_FRAME_RUN };
	struct strbuf *out = &process->out;

	strbuf_reset(out);
	process->out_at = 0;
	strbuf_add(out, (const char *)&frame, sizeof(frame));
	add_frame_text(out, arena_number(arena, (int64_t)task->type_index));
	add_frame_text(out, arena_number(arena, task->attempt));
	add_frame_text(out,
	    arena_printf(arena, "%s-%d", task->id, task->number));
	add_frame_text(out, task->argument);
	add_frame_text(out, task->progress);
	frame.len = (uint32_t)(out->len - sizeof(frame));
	memcpy(out->text, &frame, sizeof(frame));
}

void
step_process_give(struct step_process *process, const struct step_task *task)
{
	struct arena *arena = process->arena;

	process->task = *task;
	process->task.id = arena_strdup(arena, task->id);
	process->task.argument = arena_strdup(arena, task->argument);
	process->task.progress = arena_strdup(arena, task->progress);
	process->state = STEP_RUNNING;
	process->stop = STEP_GOES_ON;
	process->has_progress = process->is_logged = false;
	atomic_store(&process->flag->stop, false);
	if (process->pid != 0 &&
	    (process->steps == STEPS_A_PROCESS || process->signalled))
		kill_process(process);
	process->steps++;
	if (process->pid == 0 && !start(process)) {
		end_step(process, &(struct step_outcome){ .sent_back = true });
		return;
	}
	begin_time(process);
	queue_task(process);
	step_process_talk(process);
}

bool
step_process_is_sending(const struct step_process *process)
{
	return process->out_at < process->out.len;
}

static void
send_out(struct step_process *process)
{
	ssize_t put;

	while (step_process_is_sending(process)) {
		put = send(process->fd, process->out.text + process->out_at,
		    process->out.len - process->out_at, MSG_NOSIGNAL);
		if (put <= 0)
			return;
		process->out_at += (size_t)put;
	}
}

static void
take_beat(struct step_process *process, const char *progress)
{
	begin_time(process);
	if (*progress == '\0')
		return;
	strbuf_reset(&process->progress);
	strbuf_add_text(&process->progress, progress);
	process->has_progress = true;
}

static void
take_frame(struct step_process *process, const struct step_frame *frame,
    const char *text)
{
	struct arena *arena = process->arena;
	struct step_outcome outcome = { .is_final = frame->kind ==
		    STEP_FRAME_FINAL };

	if (process->state != STEP_RUNNING)
		return;
	if (frame->kind == STEP_FRAME_BEAT) {
		take_beat(process, text);
		return;
	}
	if (frame->kind == STEP_FRAME_RESULT) {
		outcome.result = arena_strdup(arena, text);
	} else {
		outcome.error_name = arena_strdup(arena, text);
		text += strlen(text) + 1;
		outcome.error_message = arena_strdup(arena, text);
	}
	end_step(process, &outcome);
}

/* Whether a frame is one that a process sends, with so many texts. */
static bool
is_sensible(const struct step_frame *frame, const char *text)
{
	bool is_error = frame->kind == STEP_FRAME_ERROR ||
	    frame->kind == STEP_FRAME_FINAL;

	return text[frame->len - 1] == '\0' &&
	    (!is_error || strlen(text) + 1 < frame->len);
}

/* Takes the frames that have come as a whole; false: they make no sense. */
static bool
take_frames(struct step_process *process)
{
	struct strbuf *in = &process->in;
	struct step_frame frame;
	size_t at = 0;

	while (in->len - at >= sizeof(frame)) {
		const char *text = in->text + at + sizeof(frame);

		memcpy(&frame, in->text + at, sizeof(frame));
		if (frame.kind == STEP_FRAME_RUN ||
		    frame.kind > STEP_FRAME_BEAT || frame.len == 0 ||
		    frame.len > 2 * STEP_BYTES_MAX)
			return false;
		if (in->len - at - sizeof(frame) < frame.len)
			break;
		if (!is_sensible(&frame, text))
			return false;
		take_frame(process, &frame, text);
		at += sizeof(frame) + frame.len;
	}
	memmove(in->text, in->text + at, in->len - at);
	in->len -= at;
	return true;
}

static void
receive(struct step_process *process)
{
	char bytes[16384];
	ssize_t got;

	while ((got = recv(process->fd, bytes, sizeof(bytes), 0)) > 0)
		strbuf_add(&process->in, bytes, (size_t)got);
	/* At the end of the file it is dead, or has closed the socket. */
	if (got == 0)
		kill(process->pid, SIGKILL);
	if (process->in.len == 0 || take_frames(process))
		return;
	/* Its function has written there: it is buried like a crash. */
	log_error("step process %d says nothing sensible, and is ended",
	    (int)process->pid);
	strbuf_reset(&process->in);
	kill(process->pid, SIGKILL);
}

void
step_process_talk(struct step_process *process)
{
	if (process->pid == 0)
		return;
	send_out(process);
	receive(process);
}

void
step_process_stop(struct step_process *process, enum step_stop why)
{
	int64_t now_ms = clock_monotonic_ms();

	if (process->state != STEP_RUNNING || process->stop != STEP_GOES_ON)
		return;
	process->stop = why;
	process->term_ms = now_ms + FLAG_MS;
	process->kill_ms = now_ms + TERM_MS;
	atomic_store(&process->flag->stop, true);
}

/* What the death of its process makes of a running step. */
static void
end_by_death(struct step_process *process, int how)
{
	struct arena *arena = process->arena;
	struct step_outcome outcome = { .error_name = "DBOSStepProcessEnded" };

	if (process->stop == STEP_IS_LATE) {
		outcome.error_name = "DBOSStepTimeout";
		outcome.error_message = arena_printf(arena,
		    "attempt %d took too long", process->task.attempt);
	} else if (process->stop == STEP_IS_SENT_BACK) {
		outcome = (struct step_outcome){ .sent_back = true };
	} else if (WIFSIGNALED(how)) {
		outcome.error_message = arena_printf(arena,
		    "signal %d (%s) ended the process of attempt %d",
		    WTERMSIG(how), strsignal(WTERMSIG(how)),
		    process->task.attempt);
	} else {
		outcome.error_message = arena_printf(arena,
		    "the process of attempt %d ended itself with status %d",
		    process->task.attempt, WEXITSTATUS(how));
	}
	end_step(process, &outcome);
}

void
step_process_bury(struct step_process *process)
{
	siginfo_t info = { 0 };
	int how;

	if (process->pid == 0 ||
	    waitid(P_PID, (id_t)process->pid, &info,
		WEXITED | WNOHANG | WNOWAIT) != 0 ||
	    info.si_pid == 0)
		return;
	/* What it has said before its death counts. */
	receive(process);
	how = kill_process(process);
	if (process->state == STEP_RUNNING)
		end_by_death(process, how);
}

int64_t
step_process_heed_clock(struct step_process *process)
{
	int64_t now_ms = clock_monotonic_ms();

	if (process->state != STEP_RUNNING)
		return INT64_MAX;
	if (process->stop == STEP_GOES_ON && now_ms >= process->late_ms) {
		/* The master itself may have been late. */
		step_process_bury(process);
		step_process_talk(process);
		if (process->state != STEP_RUNNING)
			return now_ms;
		if (now_ms >= process->late_ms)
			step_process_stop(process, STEP_IS_LATE);
	}
	if (process->stop == STEP_GOES_ON)
		return process->late_ms;
	if (process->term_ms != 0 && now_ms >= process->term_ms) {
		kill(process->pid, SIGTERM);
		process->signalled = true;
		process->term_ms = 0;
	}
	if (process->kill_ms != 0 && now_ms >= process->kill_ms) {
		kill(process->pid, SIGKILL);
		process->kill_ms = 0;
	}
	if (process->term_ms != 0)
		return process->term_ms;
	return process->kill_ms != 0 ? process->kill_ms : INT64_MAX;
}

void
step_process_settled(struct step_process *process)
{
	process->state = STEP_IDLE;
	process->has_progress = false;
	arena_reset(process->arena);
}
