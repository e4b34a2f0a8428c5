/* SPDX-License-Identifier: MIT */
/*
 * load: simulated customers that buy widgets over HTTP.
 *
 * One thread with one epoll serves all clients; each has a connection, which is
 * kept alive.  Keys are unique, and every answer is checked.  Closed loop: each
 * of --clients begins its next purchase when its last one is done.  Open loop
 * (--rate): purchases are due by the clock, and latency counts from when one
 * was due, although no client may have been idle then, so that a slow server
 * cannot look fast by slowing its clients.  After 502, 503, 504 and a lost
 * connection the request is repeated with the same key, as the page does, and
 * counted.
 *
 * --answers FILE gets a line for every right answer: when it came, in
 * milliseconds since the epoch, and how many it took, repetitions included.
 *
 * --patience N is for how many seconds behind the end the last answers may come.
 *
 * --pay ID pays for one waiting checkout, repeating every two milliseconds, and
 * prints after how many milliseconds it was answered: how long a store was
 * down.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEY          "load-%016llx-%lld" /* run and number */
#define ANSWER_MAX   4096
#define RETRY_US     INT64_C(50000)
#define RETRY_PAY_US INT64_C(2000)
#define CLIENTS_MAX  4096

/* What a client does next; a purchase goes through them in this order. */
enum stage { STAGE_IDLE, STAGE_CHECKOUT, STAGE_PAYMENT, STAGES };

struct client {
	enum stage stage;
	int fd;              /* -1: not connected */
	bool sent;           /* a request is on its way */
	int64_t key;         /* number of the purchase */
	int64_t purchase_us; /* when the purchase began, or was due */
	int64_t stage_us;    /* when the stage began */
	int64_t request_us;  /* when the latest request was sent */
	int64_t retry_us;    /* when to repeat it; 0: not at all */
	char payment[160];
	size_t len;
	char answer[ANSWER_MAX];
};

/* Every latency, in microseconds. */
struct series {
	uint32_t *us;
	size_t count, size;
};

static struct {
	struct sockaddr_in server;
	int clients;
	double seconds;
	double rate; /* purchases per second; 0: closed loop */
	bool checkouts_only;
	bool json;
	const char *pay;    /* id of the only checkout to pay, or NULL */
	FILE *acknowledged; /* what was answered, for the audit, or NULL */
	FILE *answers;      /* when each right answer came, or NULL */
	int64_t retry_us;
	double patience; /* seconds for the last answers, behind the end */
} config = { .clients = 64,
	.seconds = 10,
	.retry_us = RETRY_US,
	.patience = 60 };

static struct client *clients;
static struct series series[STAGES];
static struct series purchases;
static int epoll_fd;
static int64_t begun_us, end_us, next_key;
static uint64_t run_id;
static unsigned long repeated, wrong;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
note(struct series *to, int64_t us)
{
	if (to->count == to->size) {
		to->size = to->size * 2 + 4096;
		to->us = reallocarray(to->us, to->size, sizeof(*to->us));
		if (to->us == NULL)
			die("out of memory");
	}
	to->us[to->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void
note_answer(int64_t took_us)
{
	struct timespec now;

	if (config.answers == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(config.answers, "%lld %lld\n",
	    (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000,
	    (long long)took_us / 1000);
}

static void
disconnect(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->sent = false;
}

/* Schedules a repetition of the same request. */
static void
repeat(struct client *client)
{
	repeated++;
	client->sent = false;
	client->retry_us = now_us() + config.retry_us;
}

static bool
connect_client(struct client *client)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	int on = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		die("cannot make a socket: %s", strerror(errno));
	if (connect(client->fd, (struct sockaddr *)&config.server,
		sizeof(config.server)) != 0)
		return false;
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
		die("cannot poll a socket: %s", strerror(errno));
	return true;
}

static void
send_request(struct client *client)
{
	char request[512], path[256];
	int len;

	if (client->stage == STAGE_CHECKOUT)
		snprintf(path, sizeof(path), "/checkout/" KEY,
		    (unsigned long long)run_id, (long long)client->key);
	else
		snprintf(path, sizeof(path), "/payment_webhook/%s/paid",
		    client->payment);
	len = snprintf(request, sizeof(request),
	    "POST %s HTTP/1.1\r\n"
	    "Host: localhost\r\nContent-Length: 0\r\n\r\n",
	    path);
	client->retry_us = 0;
	client->len = 0;
	client->request_us = now_us();
	if ((client->fd < 0 && !connect_client(client)) ||
	    send(client->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
		disconnect(client);
		repeat(client);
		return;
	}
	client->sent = true;
}

/* Begins a purchase; its latency counts from should_us. */
static void
begin_purchase(struct client *client, int64_t should_us)
{
	client->key = next_key++;
	client->purchase_us = should_us;
	client->stage = STAGE_CHECKOUT;
	client->stage_us = should_us;
	send_request(client);
}

static void
end_purchase(struct client *client)
{
	client->stage = STAGE_IDLE;
	if (config.rate == 0 && config.pay == NULL && now_us() < end_us)
		begin_purchase(client, now_us());
}

static void
fail(struct client *client, int status, const char *body)
{
	if (wrong++ < 5)
		fprintf(stderr, "load: stage %d answered %d: %.200s\n",
		    (int)client->stage, status, body);
	end_purchase(client);
}

static bool
is_number(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Writes a line for the audit: the request, and its answer. */
static void
log_answer(const struct client *client, const char *body)
{
	if (config.acknowledged == NULL)
		return;
	if (client->stage == STAGE_CHECKOUT)
		fprintf(config.acknowledged, "checkout\t" KEY "\t\t%s\n",
		    (unsigned long long)run_id, (long long)client->key, body);
	else
		fprintf(config.acknowledged, "payment\t%s\tpaid\t%s\n",
		    client->payment, body);
}

/* Checks a whole answer and begins what follows it. */
static void
take_answer(struct client *client, int status, const char *body)
{
	int64_t us = now_us();

	client->sent = false;
	if (status == 502 || status == 503 || status == 504) {
		repeat(client);
		return;
	}
	if (status != 200 || strlen(body) >= sizeof(client->payment) ||
	    (client->stage == STAGE_PAYMENT && !is_number(body))) {
		fail(client, status, body);
		return;
	}
	log_answer(client, body);
	note(&series[client->stage],
	    us -
		(client->stage == STAGE_CHECKOUT ? client->purchase_us
						 : client->request_us));
	note_answer(us - client->stage_us);
	if (config.pay != NULL) {
		printf("%.1f\n", (double)(us - client->purchase_us) / 1000.0);
		exit(0);
	}
	if (client->stage == STAGE_PAYMENT || config.checkouts_only) {
		note(&purchases, us - client->purchase_us);
		end_purchase(client);
		return;
	}
	snprintf(client->payment, sizeof(client->payment), "%s", body);
	client->stage = STAGE_PAYMENT;
	client->stage_us = us;
	send_request(client);
}

/* Takes the answer when all its bytes have come, by its Content-Length. */
static void
parse_answer(struct client *client)
{
	char *head_end, *length, *body;
	size_t body_len, total;
	bool close_after;
	int status;

	client->answer[client->len] = '\0';
	head_end = strstr(client->answer, "\r\n\r\n");
	if (head_end == NULL)
		return;
	body = head_end + 4;
	length = strcasestr(client->answer, "\r\nContent-Length:");
	if (length == NULL || length > head_end)
		die("an answer without Content-Length: %s", client->answer);
	body_len = strtoul(length + sizeof("\r\nContent-Length:") - 1, NULL,
	    10);
	total = (size_t)(body - client->answer) + body_len;
	if (total >= ANSWER_MAX)
		die("an answer of %zu bytes is too long", total);
	if (client->len < total)
		return;
	status = (int)strtol(client->answer + sizeof("HTTP/1.1 ") - 1, NULL,
	    10);
	*head_end = '\0';
	close_after = strcasestr(client->answer, "\r\nConnection: close") !=
	    NULL;
	if (close_after)
		disconnect(client);
	take_answer(client, status, body);
}

static void
read_answer(struct client *client)
{
	ssize_t got = recv(client->fd, client->answer + client->len,
	    ANSWER_MAX - 1 - client->len, MSG_DONTWAIT);
	bool waited = client->sent;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		disconnect(client);
		if (waited)
			repeat(client);
		return;
	}
	client->len += (size_t)got;
	parse_answer(client);
}

/* Sends what is due by the clock; returns whether any client is busy. */
static bool
drive(void)
{
	static int64_t offered;
	int64_t now = now_us();
	bool busy = false;
	int i;

	for (i = 0; i < config.clients; i++) {
		struct client *client = &clients[i];
		int64_t should_us = begun_us +
		    (config.rate == 0
			    ? 0
			    : (int64_t)((double)offered / config.rate * 1e6));

		if (client->retry_us != 0 && client->retry_us <= now)
			send_request(client);
		if (client->stage == STAGE_IDLE && config.rate != 0 &&
		    should_us <= now && should_us < end_us) {
			offered++;
			begin_purchase(client, should_us);
		}
		busy |= client->stage != STAGE_IDLE;
	}
	return busy;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile_ms(const struct series *of, double fraction)
{
	size_t at;

	if (of->count == 0)
		return 0;
	at = (size_t)(fraction * (double)(of->count - 1));
	return of->us[at] / 1000.0;
}

static void
report_series(const char *name, struct series *of, double seconds)
{
	qsort(of->us, of->count, sizeof(*of->us), compare);
	printf(config.json
		? "\"%s\": {\"count\": %zu, \"per_second\": %.1f, \"p50_ms\": %.2f, "
		  "\"p99_ms\": %.2f, \"max_ms\": %.2f}, "
		: "%-9s %8zu  %8.1f/s  p50 %7.2f ms  p99 %7.2f ms  max %7.2f ms\n",
	    name, of->count, (double)of->count / seconds,
	    percentile_ms(of, 0.5), percentile_ms(of, 0.99),
	    percentile_ms(of, 1));
}

static void
report(double seconds)
{
	if (config.json)
		printf("{\"clients\": %d, \"rate\": %.1f, \"seconds\": %.2f, ",
		    config.clients, config.rate, seconds);
	report_series("checkout", &series[STAGE_CHECKOUT], seconds);
	if (!config.checkouts_only) {
		report_series("payment", &series[STAGE_PAYMENT], seconds);
		report_series("purchase", &purchases, seconds);
	}
	printf(config.json ? "\"repeated\": %lu, \"wrong\": %lu}\n"
			   : "repeated %lu, wrong answers %lu\n",
	    repeated, wrong);
}

static void
begin_payment(struct client *client)
{
	snprintf(client->payment, sizeof(client->payment), "%s", config.pay);
	client->purchase_us = begun_us;
	client->stage = STAGE_PAYMENT;
	send_request(client);
}

static void
run(void)
{
	struct epoll_event events[256];
	int i, count;

	begun_us = now_us();
	end_us = begun_us + (int64_t)(config.seconds * 1e6);
	for (i = 0; i < config.clients; i++) {
		clients[i].fd = -1;
		if (config.pay != NULL)
			begin_payment(&clients[i]);
		else if (config.rate == 0)
			begin_purchase(&clients[i], now_us());
	}
	while (drive() || now_us() < end_us) {
		if (now_us() > end_us + (int64_t)(config.patience * 1e6))
			die("no answer for %.0f seconds", config.patience);
		count = epoll_wait(epoll_fd, events, 256, 1);
		for (i = 0; i < count; i++)
			read_answer(events[i].data.ptr);
	}
	report((double)(now_us() - begun_us) / 1e6);
}

static void __attribute__((noreturn)) usage(int status)
{
	fputs(
	    "usage: load [--port N] [--clients N] [--seconds N] [--rate N]\n"
	    "            [--checkouts] [--json] [--acknowledged FILE]\n"
	    "            [--answers FILE] [--patience N]\n"
	    "       load [--port N] --pay ID\n"
	    "Buys widgets from the store on 127.0.0.1:PORT (8080).  Raise the\n"
	    "inventory first, or the store sells out.  --acknowledged adds\n"
	    "each answer to FILE, for widget-store-audit.\n",
	    status == 0 ? stdout : stderr);
	exit(status);
}

static void
read_options(int argc, char *argv[])
{
	static const struct option options[] = { { "port", required_argument,
						     NULL, 'p' },
		{ "clients", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'r' },
		{ "patience", required_argument, NULL, 'w' },
		{ "checkouts", no_argument, NULL, 'k' },
		{ "json", no_argument, NULL, 'j' },
		{ "answers", required_argument, NULL, 't' },
		{ "pay", required_argument, NULL, 'y' },
		{ "acknowledged", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int option, port = 8080;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			port = (int)strtol(optarg, NULL, 10);
			break;
		case 'c':
			config.clients = (int)strtol(optarg, NULL, 10);
			break;
		case 's':
			config.seconds = strtod(optarg, NULL);
			break;
		case 'r':
			config.rate = strtod(optarg, NULL);
			break;
		case 'w':
			config.patience = strtod(optarg, NULL);
			break;
		case 'k':
			config.checkouts_only = true;
			break;
		case 'j':
			config.json = true;
			break;
		case 't':
			config.answers = fopen(optarg, "we");
			if (config.answers == NULL)
				die("cannot write '%s': %s", optarg,
				    strerror(errno));
			break;
		case 'y':
			config.pay = optarg;
			config.clients = 1;
			config.retry_us = RETRY_PAY_US;
			break;
		case 'a':
			config.acknowledged = fopen(optarg, "a");
			if (config.acknowledged == NULL)
				die("cannot open '%s': %s", optarg,
				    strerror(errno));
			setvbuf(config.acknowledged, NULL, _IOLBF, 0);
			break;
		case 'h':
			usage(0);
		default:
			usage(2);
		}
	}
	if (optind != argc || port < 1 || port > 65535 || config.clients < 1 ||
	    config.clients > CLIENTS_MAX || config.seconds <= 0 ||
	    config.rate < 0)
		usage(2);
	config.server = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int
main(int argc, char *argv[])
{
	read_options(argc, argv);
	clients = calloc((size_t)config.clients, sizeof(*clients));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (clients == NULL || epoll_fd < 0)
		die("cannot begin: %s", strerror(errno));
	run_id = (uint64_t)now_us() ^ (uint64_t)getpid() << 40;
	run();
	return wrong == 0 ? 0 : 1;
}
