/* Drives a 9P server on a unix socket, and says how fast it answers.
 *
 *     client addr=SOCKET dialect=9P2000.L aname=/ path=dev/pci/bus work=read [count=4] [depth=1] …
 *
 * `work` is read (Tread of `count` bytes), stat (Tstat, or Tgetattr in 9P2000.L) or walk (Twalk from the directory
 * `path` by the names in `names`, and the Tclunk of what it found: two messages). `depth` requests of each of `conns`
 * connections are on their way; the reads go round `files` open fids, and through `span` bytes of the file. `dma`
 * allocates that many bytes in /dev/dma first, and reads them instead of `path`. Prints a line of JSON.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "nine.h"

enum { ROOT = 0, FILES = 1, WALKED = 1 << 20, SAMPLES = 1 << 22, MOST = 1024 };

static struct {
	const char *addr, *dialect, *aname, *path, *names, *work;
	long count, depth, conns, files, span, offset, dma, msize, mode;
	double seconds, warm;
} o = {.dialect = "9P2000", .aname = "/", .path = "", .names = "", .work = "read", .count = 4, .depth = 1, .conns = 1,
       .files = 1, .msize = (1 << 20) + 24, .seconds = 0.3, .warm = 0.05};

struct conn {
	int fd;
	uint8_t *in, *out, *end; /* what has come and is not whole; what is to be sent */
	size_t have;
	uint64_t next, *since; /* requests made; when each slot's began */
	uint8_t *walked;       /* whether a slot's walk is to be clunked */
	size_t *asked;
};

static int linux_dialect, names_n;
static size_t body_n;
static uint8_t body[1024]; /* nwname and the names of a measured walk */
static uint64_t done, bytes, samples_n, left; /* left: answers that nobody has taken */
static uint32_t *samples;

static void fail(const char *what) {
	fprintf(stderr, "client: %s\n", what);
	exit(1);
}

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void send_all(struct conn *c) {
	for (uint8_t *p = c->out; p < c->end;) {
		ssize_t n = send(c->fd, p, c->end - p, MSG_NOSIGNAL);
		if (n < 0)
			fail("the server hung up");
		p += n;
	}
	c->end = c->out;
}

static uint8_t *begin(struct conn *c, int type, unsigned tag) {
	return put(put(c->end + 4, type, 1), tag, 2);
}

static void finish(struct conn *c, uint8_t *end) {
	put(c->end, end - c->end, 4);
	c->end = end;
}

/* Read until a whole message is there; its size. */
static size_t receive(struct conn *c) {
	while (c->have < HEADER || c->have < get(c->in, 4)) {
		ssize_t n = recv(c->fd, c->in + c->have, o.msize + 65536 - c->have, 0);
		if (n <= 0)
			fail("the server hung up");
		c->have += n;
	}
	return get(c->in, 4);
}

static void refused(const uint8_t *m, int want) {
	if (m[4] == Rlerror)
		fprintf(stderr, "client: message %d: %s\n", want - 1, strerror(get(m + 7, 4)));
	else if (m[4] == Rerror)
		fprintf(stderr, "client: message %d: %.*s\n", want - 1, (int)get(m + 7, 2), m + 9);
	else
		fprintf(stderr, "client: message %d for %d\n", m[4], want);
	exit(1);
}

/* One request of the setup: send it, take its answer. */
static uint8_t *call(struct conn *c, uint8_t *end) {
	static uint8_t answer[1 << 16];
	int want = c->out[4] + 1;
	finish(c, end);
	send_all(c);
	size_t size = receive(c);
	if (c->in[4] != want)
		refused(c->in, want);
	memcpy(answer, c->in, size < sizeof answer ? size : sizeof answer);
	memmove(c->in, c->in + size, c->have -= size);
	return answer;
}

static uint8_t *put_names(uint8_t *p, const char *path, int *n) {
	uint8_t *count = p;
	p += 2, *n = 0;
	while (*path) {
		size_t len = strcspn(path, "/");
		p = put_text(p, path, len), ++*n;
		path += len + (path[len] == '/');
	}
	put(count, *n, 2);
	return p;
}

static void walk(struct conn *c, uint32_t fid, const char *path) {
	int n;
	uint8_t *p = put(put(begin(c, Twalk, 0), ROOT, 4), fid, 4);
	if (get(call(c, put_names(p, path, &n)) + 7, 2) != (unsigned)n)
		fail("a path is not there");
}

static void open_fid(struct conn *c, uint32_t fid, int mode) {
	uint8_t *p = begin(c, linux_dialect ? Tlopen : Topen, 0);
	call(c, put(put(p, fid, 4), mode, linux_dialect ? 4 : 1));
}

/* Allocate a buffer in /dev/dma; the path of its bytes. */
static const char *allocate(struct conn *c) {
	static char path[64];
	char size[32];
	walk(c, FILES, "dev/dma/alloc");
	open_fid(c, FILES, 2);
	int n = snprintf(size, sizeof size, "size %ld", o.dma);
	uint8_t *p = put(put(put(begin(c, Twrite, 0), FILES, 4), 0, 8), n, 4);
	memcpy(p, size, n);
	call(c, p + n);
	uint8_t *r = call(c, put(put(put(begin(c, Tread, 0), FILES, 4), n, 8), 255, 4));
	r[11 + get(r + 7, 4)] = 0;
	char *handle = strstr((char *)r + 11, "handle:");
	if (!handle)
		fail("no handle of a DMA buffer");
	snprintf(path, sizeof path, "dev/dma/%d", atoi(handle + 7));
	call(c, put(begin(c, Tclunk, 0), FILES, 4));
	return path;
}

static void connect_to(struct conn *c) {
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	strncpy(where.sun_path, o.addr, sizeof where.sun_path - 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&where, sizeof where))
		perror(o.addr), exit(1);
	c->in = malloc(o.msize + 65536), c->end = c->out = malloc(1 << 20);
	c->since = calloc(o.depth, sizeof *c->since), c->asked = calloc(o.depth, sizeof *c->asked);
	c->walked = calloc(o.depth, 1);
	uint8_t *p = put(begin(c, Tversion, NOTAG), o.msize, 4);
	uint8_t *r = call(c, put_text(p, o.dialect, strlen(o.dialect)));
	if (get(r + 11, 2) != strlen(o.dialect) || memcmp(r + 13, o.dialect, strlen(o.dialect)))
		fail("the server does not speak that dialect");
	o.msize = get(r + 7, 4);
	if (o.count > o.msize - 24)
		o.count = o.msize - 24;
	p = put(put(begin(c, Tattach, 0), ROOT, 4), 0xffffffff, 4);
	p = put_text(put_text(p, "", 0), o.aname, strlen(o.aname));
	call(c, linux_dialect ? put(p, getuid(), 4) : p);
}

static void set_up(struct conn *c) {
	connect_to(c);
	const char *path = o.dma ? allocate(c) : o.path;
	for (int i = 0; i < o.files; i++) {
		walk(c, FILES + i, path);
		if (!strcmp(o.work, "read"))
			open_fid(c, FILES + i, o.mode);
	}
}

/* The next request of a slot, behind what is to be sent. */
static void ask(struct conn *c, unsigned slot) {
	uint8_t *p;
	uint64_t n = c->next++;
	if (*o.work == 'r') {
		uint64_t offset = o.offset + (o.span ? n * o.count % (o.span - o.span % o.count) : 0);
		p = put(put(put(begin(c, Tread, slot), FILES + n % o.files, 4), offset, 8), o.count, 4);
		c->asked[slot] = o.count;
	} else if (*o.work == 's') {
		p = put(begin(c, linux_dialect ? Tgetattr : Tstat, slot), FILES + n % o.files, 4);
		p = linux_dialect ? put(p, GETATTR_BASIC, 8) : p;
	} else if (c->walked[slot]) {
		p = put(begin(c, Tclunk, slot), WALKED + slot, 4);
	} else {
		p = put(put(begin(c, Twalk, slot), FILES + n % o.files, 4), WALKED + slot, 4);
		memcpy(p, body, body_n), p += body_n;
	}
	finish(c, p);
}

/* An answer came: whether its slot's work is whole. */
static int took(struct conn *c, const uint8_t *m, unsigned slot) {
	if (*o.work == 'r') {
		if (m[4] != Tread + 1 || get(m + 7, 4) != c->asked[slot])
			refused(m, Tread + 1);
		bytes += c->asked[slot];
		return 1;
	}
	if (*o.work == 's') {
		if (m[4] != (linux_dialect ? Tgetattr : Tstat) + 1)
			refused(m, Tstat + 1);
		return 1;
	}
	if (m[4] != (c->walked[slot] ? Tclunk : Twalk) + 1)
		refused(m, Twalk + 1);
	if (!c->walked[slot] && get(m + 7, 2) != (unsigned)names_n)
		fail("a walk ended early");
	return (c->walked[slot] ^= 1) == 0;
}

/* Take in what has come, and ask as much anew. */
static void turn(struct conn *c, int counting, int asking) {
	ssize_t n = recv(c->fd, c->in + c->have, o.msize + 65536 - c->have, 0);
	if (n <= 0)
		fail("the server hung up");
	c->have += n;
	uint64_t at = 0, t = now(), size;
	while (c->have - at >= HEADER && c->have - at >= (size = get(c->in + at, 4))) {
		unsigned slot = get(c->in + at + 5, 2);
		if (slot >= o.depth)
			fail("an answer to a tag that was not used");
		if (took(c, c->in + at, slot)) {
			if (counting && samples_n < SAMPLES)
				samples[samples_n++] = t - c->since[slot];
			done += counting;
			c->since[slot] = t;
		}
		if (asking)
			ask(c, slot);
		else
			left--;
		at += size;
	}
	memmove(c->in, c->in + at, c->have - at);
	c->have -= at;
	send_all(c);
}

static uint64_t drive(struct conn *conns, int epoll, double seconds, int counting) {
	uint64_t start = now(), end = start + seconds * 1e9;
	struct epoll_event events[64];
	while (now() < end) {
		int n = o.conns == 1 ? 1 : epoll_wait(epoll, events, 64, 5000);
		if (n <= 0)
			fail("no answer in 5 s");
		for (int i = 0; i < n; i++)
			turn(o.conns == 1 ? conns : events[i].data.ptr, counting, 1);
	}
	return now() - start;
}

/* Take what is still on its way: some servers do not bear a client that hangs up on them. */
static void drain(struct conn *conns) {
	for (int i = 0; i < o.conns; i++) {
		for (left = o.depth; left;)
			turn(&conns[i], 0, 0);
		close(conns[i].fd);
	}
}

static int by_size(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void parse(int argc, char **argv) {
	struct { const char *name; const char **text; long *number; double *real; } known[] = {
		{"addr", &o.addr, 0, 0}, {"dialect", &o.dialect, 0, 0}, {"aname", &o.aname, 0, 0}, {"path", &o.path, 0, 0},
		{"names", &o.names, 0, 0}, {"work", &o.work, 0, 0}, {"count", 0, &o.count, 0}, {"depth", 0, &o.depth, 0},
		{"conns", 0, &o.conns, 0}, {"files", 0, &o.files, 0}, {"span", 0, &o.span, 0}, {"offset", 0, &o.offset, 0},
		{"dma", 0, &o.dma, 0}, {"msize", 0, &o.msize, 0}, {"mode", 0, &o.mode, 0}, {"seconds", 0, 0, &o.seconds},
		{"warm", 0, 0, &o.warm},
	};
	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		size_t n = value ? value - argv[i] : 0, k = 0, all = sizeof known / sizeof *known;
		while (k < all && (strlen(known[k].name) != n || strncmp(known[k].name, argv[i], n)))
			k++;
		if (k == all)
			fail(argv[i]);
		if (known[k].text)
			*known[k].text = value + 1;
		else if (known[k].number)
			*known[k].number = strtol(value + 1, NULL, 0);
		else
			*known[k].real = atof(value + 1);
	}
	if (!o.addr || o.depth < 1 || o.depth > MOST || get((const uint8_t *)"\1\0", 2) != 1)
		fail("give addr=SOCKET, a depth of 1 to 1024, and a little-endian machine");
}

int main(int argc, char **argv) {
	parse(argc, argv);
	linux_dialect = !strcmp(o.dialect, "9P2000.L");
	body_n = put_names(body, o.names, &names_n) - body;
	samples = malloc(SAMPLES * sizeof *samples);
	struct conn *conns = calloc(o.conns, sizeof *conns);
	int epoll = epoll_create1(0);
	for (int i = 0; i < o.conns; i++) {
		set_up(&conns[i]);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conns[i]};
		epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event);
	}
	for (int i = 0; i < o.conns; i++) {
		for (unsigned slot = 0; slot < o.depth; slot++)
			conns[i].since[slot] = now(), ask(&conns[i], slot);
		send_all(&conns[i]);
	}
	drive(conns, epoll, o.warm, 0);
	bytes = 0;
	double seconds = drive(conns, epoll, o.seconds, 1) / 1e9;
	uint64_t moved = bytes;
	drain(conns);
	qsort(samples, samples_n, sizeof *samples, by_size);
	printf("{\"done\": %lu, \"seconds\": %.6f, \"bytes\": %lu, \"msize\": %ld, \"count\": %ld", (unsigned long)done, seconds,
	       (unsigned long)moved, o.msize, o.count);
	static const double at[] = {0.5, 0.9, 0.99, 0.999};
	static const char *name[] = {"p50", "p90", "p99", "p99.9"};
	for (int i = 0; i < 4; i++)
		printf(", \"%s\": %.2f", name[i], samples_n ? samples[(uint64_t)(at[i] * (samples_n - 1))] / 1e3 : 0.0);
	puts("}");
}
