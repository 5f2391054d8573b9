/* The least that a 9P server can do: every path is one file, every file the same bytes. What it costs to be asked.
 *
 *     floor SOCKET
 *
 * A process for each connection, one recv for what has come, one send for its answers. It checks nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "nine.h"

enum { MSIZE = (1 << 20) + 24, PARTS = 512, QID = 13, STAT = 64, ATTR = 153 };

static uint8_t in[MSIZE], heads[1 << 20], file[MSIZE];
static struct iovec parts[PARTS];

/* The head of one answer, and how much of `file` follows it. */
static uint8_t *answer(const uint8_t *t, uint8_t *p, size_t *data) {
	uint8_t *head = p;
	*data = 0;
	p = put(p + 4, t[4] + 1, 1);
	p = put(p, get(t + 5, 2), 2);
	switch (t[4]) {
	case Tversion:
		p = put(p, get(t + 7, 4) < MSIZE ? get(t + 7, 4) : MSIZE, 4);
		p = put_text(p, (const char *)t + 13, get(t + 11, 2));
		break;
	case Tattach:
		p = put(p, 0x80, QID - 8), p = put(p, 0, 8);
		break;
	case Twalk: {
		size_t n = get(t + 15, 2);
		p = put(p, n, 2);
		for (; n; n--, p += QID)
			memset(p, n > 1 ? 0x80 : 0, 1), memset(p + 1, 0, QID - 1);
		break;
	}
	case Topen:
	case Tlopen:
		memset(p, 0, QID + 4), p += QID + 4;
		break;
	case Tread:
		*data = get(t + 19, 4);
		p = put(p, *data, 4);
		break;
	case Tstat:
		p = put(p, STAT + 2, 2), p = put(p, STAT, 2);
		memset(p, 0, STAT), p += STAT;
		break;
	case Tgetattr:
		memset(p, 0, ATTR), p += ATTR;
		break;
	case Tclunk:
		break;
	default:
		exit(2);
	}
	put(head, p - head + *data, 4);
	return p;
}

static void send_all(int fd, int n) {
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
	while (message.msg_iovlen) {
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (sent < 0)
			exit(0);
		for (; message.msg_iovlen && (size_t)sent >= message.msg_iov->iov_len; message.msg_iov++, message.msg_iovlen--)
			sent -= message.msg_iov->iov_len;
		if (message.msg_iovlen) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= sent;
		}
	}
}

/* Answer every whole message of `in`; how many bytes they were. */
static size_t answer_all(int fd, size_t have) {
	size_t at = 0, size, data;
	uint8_t *p = heads, *from = heads;
	int n = 0;
	while (have - at >= HEADER && have - at >= (size = get(in + at, 4))) {
		uint8_t *end = answer(in + at, p, &data);
		if (data && data <= 4096) {
			memcpy(end, file, data), p = end + data;
		} else if (data) {
			parts[n++] = (struct iovec){from, end - from};
			parts[n++] = (struct iovec){file, data};
			from = p = end;
		} else {
			p = end;
		}
		at += size;
		if (n > PARTS - 3 || p > heads + sizeof heads - 8192) {
			if (p > from)
				parts[n++] = (struct iovec){from, p - from};
			send_all(fd, n), n = 0, p = from = heads;
		}
	}
	if (p > from)
		parts[n++] = (struct iovec){from, p - from};
	send_all(fd, n);
	return at;
}

static void serve(int fd) {
	size_t have = 0;
	ssize_t came;
	while ((came = recv(fd, in + have, sizeof in - have, 0)) > 0) {
		have += came;
		size_t used = answer_all(fd, have);
		memmove(in, in + used, have - used);
		have -= used;
	}
}

int main(int argc, char **argv) {
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	if (argc != 2 || get((const uint8_t *)"\1\0", 2) != 1)
		return fprintf(stderr, "usage: floor SOCKET, on a little-endian machine\n"), 1;
	strncpy(where.sun_path, argv[1], sizeof where.sun_path - 1);
	int listening = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listening, (struct sockaddr *)&where, sizeof where) || listen(listening, 128))
		return perror(argv[1]), 1;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listening, NULL, NULL);
		if (fd < 0)
			continue;
		if (fork() == 0) {
			close(listening);
			serve(fd);
			return 0;
		}
		close(fd);
	}
}
