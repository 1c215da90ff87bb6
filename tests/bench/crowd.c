/* A crowd of WebSocket clients in one process, led over standard input; it answers each command with one line of JSON.
 *
 *   cc -O2 -o crowd crowd.c && ./crowd PORT TOKENS     TOKENS: a file with a bearer token a line, taken in turn
 *
 *   connect N PATH   so many more clients; done when each was greeted (its first text, or 101 alone where none comes)
 *   expect K         done when every client that reads has had K more events; "ready" is said as soon as it waits
 *   arrive N K PATH  connect and expect in one: for a crowd that comes back with a position
 *   storm K PATH     until every client has had K more events and is greeted: whoever loses its line meanwhile comes back at
 *                    once, with "&after=" and its own position behind PATH; "ready" is said as soon as it waits
 *   stall N          the first N clients read nothing any more
 *   ended            how many lines the server has closed, by close code
 *   drop             all hang up
 *
 * An event is a text whose payload begins with {"type":"alert","offset":N or with {"bench". Times are nanoseconds of
 * CLOCK_MONOTONIC. Pings are answered. Each client checks that offsets rise: one that does not is counted as doubled.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536, WINDOW = 512, ROOM = 256 * 1024 };
enum { NONE, CONNECTING, SHAKING, OPEN, ENDED };

struct client {
	char state, stalled, greeted;
	int fd, held, code;
	long wanted, had, offset;
	long long at, again; /* when it had what was wanted, when it tries again */
	unsigned char *part; /* what is left of an unfinished frame or answer */
};

static struct client crowd[MOST];
static int size, opened, greeted, waiting_for, came, refused;
static long doubled;
static char **tokens, path[512];
static int token_count, poll_fd, port;
static unsigned char buffer[ROOM];

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void end(struct client *c) {
	if (c->state == ENDED)
		return;
	if (c->state == OPEN && !c->stalled && c->had < c->wanted)
		waiting_for--;
	refused += c->state != OPEN;
	c->again = c->state == OPEN ? 0 : now() + 100000000LL;
	c->state = ENDED;
	free(c->part);
	c->part = 0;
	close(c->fd);
}

static void ask(int number) {
	struct client *c = &crowd[number];
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* An address for every thousand: of the 28,000 ports that one has, connect() tries all even ones before any odd one, and
	 * past 14,000, or while the last connections are still in TIME_WAIT, it searches for milliseconds each time. */
	struct sockaddr_in mine = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number / 1000)};
	struct epoll_event event = {.events = EPOLLOUT, .data.u32 = number};
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
	bind(c->fd, (struct sockaddr *)&mine, sizeof mine);
	setsockopt(c->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
	c->state = CONNECTING;
	if (connect(c->fd, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS) {
		perror("connect");
		exit(1);
	}
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void shake(int number) {
	struct client *c = &crowd[number];
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
	char request[2048], position[40] = "";
	if (c->again >= 0)
		snprintf(position, sizeof position, "&after=%ld", c->offset);
	int length = snprintf(request, sizeof request,
	                      "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	                      "Authorization: Bearer %s\r\n\r\n", path, position, port, tokens[number % token_count]);
	if (send(c->fd, request, length, MSG_NOSIGNAL) != length) {
		end(c);
		return;
	}
	c->state = SHAKING;
	epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void text(struct client *c, const char *payload, int length) {
	int is_alert = length > 25 && !memcmp(payload, "{\"type\":\"alert\",\"offset\":", 25);
	if (!c->greeted) {
		const char *offset = memmem(payload, length, "\"offset\":", 9);
		c->greeted = 1;
		c->at = now();
		if (offset && !c->offset)
			c->offset = atol(offset + 9);
		greeted++;
	}
	if (!is_alert && (length < 8 || memcmp(payload, "{\"bench\"", 8)))
		return;
	if (is_alert) {
		long offset = atol(payload + 25);
		if (offset <= c->offset)
			doubled++;
		c->offset = offset;
	}
	c->had++;
	if (c->had == c->wanted) {
		c->at = now();
		if (!c->stalled)
			waiting_for--;
	}
}

/* How many of these bytes were whole frames. */
static int frames(struct client *c, unsigned char *bytes, int length) {
	int at = 0;
	while (length - at >= 2) {
		int opcode = bytes[at] & 15, head = 2;
		long long payload = bytes[at + 1] & 127;
		if (payload == 126)
			head = 4;
		else if (payload == 127)
			head = 10;
		if (length - at < head)
			break;
		if (head > 2) {
			payload = 0;
			for (int i = 2; i < head; i++)
				payload = payload << 8 | bytes[at + i];
		}
		if (length - at < head + payload)
			break;
		if (opcode == 1)
			text(c, (char *)bytes + at + head, payload);
		if (opcode == 9) {
			unsigned char pong[131] = {0x8a, 0x80 | payload}; /* masked with zeros */
			memcpy(pong + 6, bytes + at + head, payload);
			send(c->fd, pong, 6 + payload, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		if (opcode == 8) {
			c->code = payload >= 2 ? bytes[at + head] << 8 | bytes[at + head + 1] : 0;
			end(c);
			return length;
		}
		at += head + payload;
	}
	return at;
}

static void heard(struct client *c) {
	unsigned char *bytes = buffer;
	int used = 0;
	if (c->held)
		memcpy(buffer, c->part, c->held);
	ssize_t got = recv(c->fd, buffer + c->held, ROOM - c->held, MSG_DONTWAIT);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			end(c);
		return;
	}
	int length = c->held + got;
	if (c->state == SHAKING) {
		unsigned char *over = memmem(buffer, length, "\r\n\r\n", 4);
		if (over) {
			if (memcmp(buffer, "HTTP/1.1 101", 12)) {
				end(c);
				return;
			}
			c->state = OPEN;
			opened++;
			if (c->had < c->wanted)
				waiting_for++;
			used = over + 4 - buffer;
		}
	}
	if (c->state == OPEN)
		used += frames(c, bytes + used, length - used);
	if (c->state == ENDED)
		return;
	c->held = length - used;
	if (c->held) {
		c->part = realloc(c->part, c->held);
		memcpy(c->part, buffer + used, c->held);
	} else if (c->part) {
		free(c->part);
		c->part = 0;
	}
}

static void turn(int patience) {
	struct epoll_event events[512];
	int ready = epoll_wait(poll_fd, events, 512, patience);
	for (int i = 0; i < ready; i++) {
		struct client *c = &crowd[events[i].data.u32];
		if (c->state == CONNECTING)
			shake(events[i].data.u32);
		else if (c->state != ENDED)
			heard(c);
	}
}

static int compare(const void *a, const void *b) {
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

/* Until nobody is waited for, or nothing more has come for half a minute. */
static void expect(int from) {
	static long long times[MOST];
	long long deadline = now() + 60000000000LL;
	int found = 0, missing = 0;
	while (waiting_for > 0 && now() < deadline)
		turn(100);
	for (int i = from; i < size; i++) {
		if (crowd[i].stalled)
			continue;
		if (crowd[i].had < crowd[i].wanted)
			missing++;
		else
			times[found++] = crowd[i].at;
	}
	qsort(times, found, sizeof *times, compare);
	printf("{\"count\": %d, \"missing\": %d, \"doubled\": %ld, \"first\": %lld, \"median\": %lld, \"last\": %lld}\n", found,
	       missing, doubled, found ? times[0] : 0, found ? times[found / 2] : 0, found ? times[found - 1] : 0);
	fflush(stdout);
}

static void want(long more) {
	waiting_for = 0;
	for (int i = 0; i < size; i++) {
		crowd[i].wanted = crowd[i].had + more;
		waiting_for += crowd[i].state == OPEN && !crowd[i].stalled;
	}
	puts("\"ready\"");
	fflush(stdout);
}

static long long come(int count, long wanted, int all_greeted) {
	long long began = now(), deadline = began + 120000000000LL;
	int upto = size + count, first = size, before = greeted, open_before = opened;
	while ((size < upto || opened - open_before < count || (all_greeted && greeted - before < count)) && now() < deadline) {
		while (size < upto && (size - first) - (opened - open_before) < WINDOW) {
			crowd[size] = (struct client){.wanted = wanted, .again = -1};
			ask(size++);
		}
		turn(100);
	}
	return began;
}

/* Whoever has lost its line comes back; until all are greeted again and have had what is wanted. */
static void storm(void) {
	long long deadline = now() + 120000000000LL;
	int away = 1, missing = 0;
	long long last = 0;
	came = refused = 0;
	while ((away || waiting_for > 0) && now() < deadline) {
		long long moment = now(), until = moment + 20000000LL;
		away = 0;
		for (int i = 0; i < size; i++) {
			struct client *c = &crowd[i];
			if (c->state == ENDED && c->again <= moment) {
				c->held = c->greeted = 0;
				came++;
				ask(i);
			}
			away += c->state != OPEN || !c->greeted;
		}
		while (now() < until)
			turn(20);
	}
	for (int i = 0; i < size; i++) {
		missing += crowd[i].state != OPEN || !crowd[i].greeted || crowd[i].had < crowd[i].wanted;
		if (crowd[i].at > last)
			last = crowd[i].at;
	}
	printf("{\"came\": %d, \"refused\": %d, \"missing\": %d, \"doubled\": %ld, \"last\": %lld}\n", came, refused, missing,
	       doubled, last);
	fflush(stdout);
}

int main(int argc, char **argv) {
	char line[1024], token[256];
	struct rlimit most;
	FILE *file = argc > 2 ? fopen(argv[2], "r") : 0;
	if (!file)
		return 2;
	port = atoi(argv[1]);
	tokens = calloc(MOST, sizeof *tokens);
	while (token_count < MOST && fscanf(file, "%255s", token) == 1)
		tokens[token_count++] = strdup(token);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	poll_fd = epoll_create1(0);
	while (1) {
		/* While nobody leads them they still read and answer pings. */
		fd_set in;
		struct timeval moment = {0, 0};
		FD_ZERO(&in);
		FD_SET(0, &in);
		if (select(1, &in, 0, 0, &moment) == 0) {
			turn(2);
			continue;
		}
		if (!fgets(line, sizeof line, stdin))
			return 0;
		int count = 0;
		long wanted = 0;
		if (sscanf(line, "connect %d %511s", &count, path) == 2) {
			int open = 0;
			long long began = come(count, 0, strncmp(path, "/bench", 6) != 0);
			for (int i = 0; i < size; i++)
				open += crowd[i].state == OPEN;
			printf("{\"began\": %lld, \"ended\": %lld, \"open\": %d}\n", began, now(), open);
		} else if (sscanf(line, "arrive %d %ld %511s", &count, &wanted, path) == 3) {
			int from = size;
			printf("{\"began\": %lld}\n", now());
			fflush(stdout);
			come(count, wanted, 1);
			expect(from);
			continue;
		} else if (sscanf(line, "expect %ld", &wanted) == 1) {
			want(wanted);
			expect(0);
			continue;
		} else if (sscanf(line, "storm %ld %511s", &wanted, path) == 2) {
			want(wanted);
			storm();
			continue;
		} else if (sscanf(line, "stall %d", &count) == 1) {
			for (int i = 0; i < count; i++) {
				crowd[i].stalled = 1;
				epoll_ctl(poll_fd, EPOLL_CTL_DEL, crowd[i].fd, 0);
			}
			puts("{}");
		} else if (!strncmp(line, "ended", 5)) {
			int ended = 0, slow = 0;
			for (int i = 0; i < size; i++) {
				ended += crowd[i].state == ENDED;
				slow += crowd[i].state == ENDED && crowd[i].code == 4408;
			}
			printf("{\"ended\": %d, \"too_slow\": %d}\n", ended, slow);
		} else if (!strncmp(line, "drop", 4)) {
			for (int i = 0; i < size; i++)
				end(&crowd[i]);
			size = opened = greeted = waiting_for = 0;
			puts("{}");
		}
		fflush(stdout);
	}
}
