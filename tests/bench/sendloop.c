/* The limit: a server that takes WebSockets in and, on POST, writes one ready frame to all of them in a plain loop.
 *
 *   cc -O2 -o sendloop sendloop.c && ./sendloop PORT
 *
 * One thread. It answers a handshake without proving that it understood it (nobody here checks), and drops whatever
 * its clients send. What a real server does beside this loop is what the benchmark is about.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536 };

static int everybody[MOST], place[MOST], count;
static char request[MOST][8192];
static int length[MOST];
static unsigned char frame[MOST];

static const char SWITCH[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: unchecked\r\n\r\n";
static const char DONE[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

static void leave(int fd) {
	if (place[fd] >= 0) {
		int last = everybody[--count];
		everybody[place[fd]] = last;
		place[last] = place[fd];
		place[fd] = -1;
	}
	length[fd] = 0;
	close(fd);
}

static void publish(const char *body, int size) {
	int head = 2;
	frame[0] = 0x81;
	if (size < 126) {
		frame[1] = size;
	} else {
		frame[1] = 126;
		frame[2] = size >> 8;
		frame[3] = size & 255;
		head = 4;
	}
	memcpy(frame + head, body, size);
	for (int i = 0; i < count; i++)
		if (send(everybody[i], frame, head + size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			continue; /* full or gone: not this loop's affair */
}

static void heard(int fd) {
	char dropped[4096];
	if (place[fd] >= 0) {
		if (recv(fd, dropped, sizeof dropped, MSG_DONTWAIT) == 0)
			leave(fd);
		return;
	}
	ssize_t got = recv(fd, request[fd] + length[fd], sizeof request[fd] - length[fd] - 1, MSG_DONTWAIT);
	if (got <= 0) {
		leave(fd);
		return;
	}
	length[fd] += got;
	request[fd][length[fd]] = 0;
	char *end = strstr(request[fd], "\r\n\r\n");
	if (!end)
		return;
	if (strncmp(request[fd], "POST", 4)) {
		send(fd, SWITCH, sizeof SWITCH - 1, MSG_NOSIGNAL);
		place[fd] = count;
		everybody[count++] = fd;
		return;
	}
	char *told = strcasestr(request[fd], "content-length:");
	int size = told ? atoi(told + 15) : 0;
	if (request[fd] + length[fd] < end + 4 + size)
		return;
	publish(end + 4, size);
	send(fd, DONE, sizeof DONE - 1, MSG_NOSIGNAL);
	leave(fd);
}

int main(int argc, char **argv) {
	struct rlimit most;
	int one = 1, door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 9100),
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event asked = {.events = EPOLLIN, .data.fd = door}, events[512];

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	memset(place, -1, sizeof place);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(door, (struct sockaddr *)&here, sizeof here) || listen(door, 4096)) {
		perror("listen");
		return 1;
	}
	epoll_ctl(poll, EPOLL_CTL_ADD, door, &asked);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int ready = epoll_wait(poll, events, 512, -1);
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			if (fd != door) {
				heard(fd);
				continue;
			}
			while ((fd = accept4(door, 0, 0, SOCK_NONBLOCK)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
				asked.data.fd = fd;
				epoll_ctl(poll, EPOLL_CTL_ADD, fd, &asked);
			}
		}
	}
}
