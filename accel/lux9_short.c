/* The short ways of a served connection (lux9.ninep), from its socket's bytes to its socket's bytes.
 *
 *     turn(session, epoch, fid, fd, room, have, looks, closing) -> (at, have, asked, looks, rest)
 *
 * `room[:have]` are requests that have come. Whole ones at its head that have a short way are answered: a read of an
 * open file, a stat or a walk that is known to stay, a clunk of what is not open. What is answered is written to `fd`,
 * and while all was and `looks` are left, `fd` is read again: a client on this processor has run meanwhile, and what it asks
 * next needs no turn of the event loop. It stops at the first request that needs the long way
 * (`at` says where), when the socket does not take everything (`rest`), or when nothing more has come. It checks what
 * Session.receive and Shortcuts check, in their order; whatever is odd is left to them.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { Tgetattr = 24, Twalk = 110, Tread = 116, Rread, Tclunk = 120, Rclunk, Tstat = 124 };
enum { HEADER = 7, FID = 11, WALK = 17, NAMES = 15, GETATTR = 19, READ = 23, DATA = 11, COPY = 8192, OUT = 1 << 16 };
#define INTERFACE 2 /* as in lux9.ninep.short */
#define NOFID 0xffffffffu
#define CROWDED 40000 /* ns that a yield takes where others run than the client */
#define LEAST 256 /* yields that are left out then */
#define MOST 16384

static PyObject *fids_, *waiting_, *most_, *linked_, *bounds_, *quick_, *read_, *spot_, *epoch_, *count_, *told_, *trails_,
	*opened_, *ending_, *failed_, *answer_, *data_, *out_, *name_, *word_read;

static long long spin; /* ns that a look may take, where nothing has come */

struct turn {
	PyObject *session, *epoch, *fid, *closing, *fids, *waiting, *quick, *kept;
	unsigned long most;
	Py_ssize_t limit, n; /* fids that it may have; bytes in `out` */
	int linked, fd, wrote; /* wrote: something was sent already, apart from `out` */
	uint8_t out[OUT];
};
enum { FAILED = -1, LONG = 0, DONE = 1, STOP = 2 }; /* an exception; not here; answered; answered, and look at `out` */

static uint64_t get(const uint8_t *p, int bytes) {
	uint64_t value = 0;
	for (int i = bytes; i--;)
		value = value << 8 | p[i];
	return value;
}

static uint8_t *put(uint8_t *p, uint64_t value, int bytes) {
	for (; bytes--; value >>= 8)
		*p++ = (uint8_t)value;
	return p;
}

/* Header and body behind what there is to send; the caller has looked that there is room. */
static void reply(struct turn *t, int kind, unsigned tag, const void *body, Py_ssize_t n) {
	uint8_t *p = put(put(put(t->out + t->n, HEADER + n, 4), kind, 1), tag, 2);
	if (n)
		memcpy(p, body, n);
	t->n += HEADER + n;
}

/* A new reference to the fid of that number, or NULL: there is none, or there was an error. */
static PyObject *find(PyObject *dict, uint32_t number) {
	PyObject *key = PyLong_FromUnsignedLong(number);
	PyObject *found = key ? PyDict_GetItemWithError(dict, key) : NULL;
	Py_XINCREF(found);
	Py_XDECREF(key);
	return found;
}

/* What has been answered so far goes to session.out, before what the session itself is about to say. */
static int hand_over(struct turn *t) {
	if (!t->n)
		return 0;
	PyObject *bytes = PyBytes_FromStringAndSize((char *)t->out, t->n);
	int failed = !bytes || PyList_Append(t->kept, bytes);
	t->n = 0;
	Py_XDECREF(bytes);
	return failed ? -1 : 0;
}

static int refuse_read(struct turn *t, unsigned tag, PyObject *f) {
	PyObject *type, *error, *trace;
	PyErr_Fetch(&type, &error, &trace);
	PyErr_NormalizeException(&type, &error, &trace);
	if (trace)
		PyException_SetTraceback(error, trace);
	PyObject *name = NULL, *number = NULL, *done = NULL;
	if (!PyErr_GivenExceptionMatches(type, PyExc_Exception)) { /* Ctrl-C and the like are nobody's answer */
		PyErr_Restore(type, error, trace);
		return FAILED;
	}
	if (!hand_over(t) && (name = PyObject_GetAttr(f, name_)) && (number = PyLong_FromLong(tag)))
		done = PyObject_CallMethodObjArgs(t->session, failed_, number, error, word_read, name, NULL);
	int ok = done != NULL;
	Py_XDECREF(done), Py_XDECREF(number), Py_XDECREF(name);
	Py_XDECREF(type), Py_XDECREF(error), Py_XDECREF(trace);
	return ok ? STOP : FAILED;
}

/* Anything but short bytes: the session knows what to do with it. */
static int answer_read(struct turn *t, unsigned tag, uint32_t fid, unsigned long count, PyObject *data) {
	PyObject *act = NULL, *done = NULL, *a = NULL, *b = NULL, *c = NULL;
	if (!hand_over(t) && (act = PyObject_GetAttr(t->session, data_)) && (a = PyLong_FromLong(tag)) &&
	    (b = PyLong_FromUnsignedLong(fid)) && (c = PyLong_FromUnsignedLong(count)))
		done = PyObject_CallMethodObjArgs(t->session, answer_, a, data, b, c, act, NULL);
	int ok = done != NULL;
	Py_XDECREF(done), Py_XDECREF(act), Py_XDECREF(a), Py_XDECREF(b), Py_XDECREF(c);
	return ok ? STOP : FAILED;
}

/* Whether it is closing, and its descriptor's number perhaps another file's by now; -1 on an error. */
static int closed(struct turn *t) {
	PyObject *said = PyObject_CallNoArgs(t->closing);
	int is = said ? PyObject_IsTrue(said) : -1;
	Py_XDECREF(said);
	return is;
}

/* What of a part was not sent goes to session.out. */
static int keep(struct turn *t, const struct iovec *part, size_t *sent) {
	size_t done = *sent < part->iov_len ? *sent : part->iov_len;
	*sent -= done;
	if (done == part->iov_len)
		return 0;
	PyObject *bytes = PyBytes_FromStringAndSize((char *)part->iov_base + done, part->iov_len - done);
	int failed = !bytes || PyList_Append(t->kept, bytes);
	Py_XDECREF(bytes);
	return failed ? -1 : 0;
}

/* Long data, from where it is, with what was answered before it: a view is good only now. Nothing may be in session.out:
 * what is left of this goes there, and has to come next. */
static int send_long(struct turn *t, unsigned tag, const Py_buffer *data) {
	int is = closed(t);
	if (is)
		return is < 0 ? FAILED : STOP;
	put(put(put(put(t->out + t->n, DATA + data->len, 4), Rread, 1), tag, 2), data->len, 4);
	struct iovec parts[] = {{t->out, t->n + DATA}, {data->buf, data->len}};
	ssize_t came;
	Py_BEGIN_ALLOW_THREADS
	came = writev(t->fd, parts, 2);
	Py_END_ALLOW_THREADS
	size_t sent = came < 0 ? 0 : came, all = parts[0].iov_len + parts[1].iov_len;
	int whole = sent == all;
	t->n = 0;
	t->wrote = 1;
	if (keep(t, &parts[0], &sent) || keep(t, &parts[1], &sent))
		return FAILED;
	return whole ? DONE : STOP;
}

static int do_read(struct turn *t, const uint8_t *m, unsigned tag, PyObject *f) {
	PyObject *read = PyObject_GetAttr(f, read_), *args[2], *data;
	if (!read || read == Py_None) {
		Py_XDECREF(read);
		return read ? LONG : FAILED;
	}
	unsigned long count = get(m + 19, 4);
	count = count > t->most ? t->most : count;
	args[0] = PyLong_FromUnsignedLongLong(get(m + 11, 8)), args[1] = PyLong_FromUnsignedLong(count);
	data = args[0] && args[1] ? PyObject_Vectorcall(read, args, 2, NULL) : NULL;
	Py_XDECREF(args[0]), Py_XDECREF(args[1]);
	Py_DECREF(read);
	if (!data)
		return refuse_read(t, tag, f);
	int done = DONE;
	Py_ssize_t n = PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) : COPY;
	if (n < COPY && (unsigned long)n <= count) {
		uint8_t *p = put(put(put(t->out + t->n, DATA + n, 4), Rread, 1), tag, 2);
		memcpy(put(p, n, 4), PyBytes_AS_STRING(data), n);
		t->n += DATA + n;
	} else {
		Py_buffer view = {0};
		int is_long = (PyBytes_CheckExact(data) || PyMemoryView_Check(data)) && !PyObject_GetBuffer(data, &view, PyBUF_SIMPLE);
		PyErr_Clear(); /* of a view that is not in one piece */
		if (is_long && view.len >= COPY && (unsigned long)view.len <= count && !PyList_GET_SIZE(t->kept))
			done = send_long(t, tag, &view);
		else
			done = answer_read(t, tag, get(m + 7, 4), count, data);
		if (is_long)
			PyBuffer_Release(&view);
	}
	Py_DECREF(data);
	return done;
}

/* A new reference to what is kept of the fid's place under that name, if it still holds; NULL as `find`. */
static PyObject *kept(struct turn *t, PyObject *f, PyObject *name, const uint8_t *key, Py_ssize_t n) {
	PyObject *spot = PyObject_GetAttr(f, spot_), *found = NULL;
	if (spot && spot != Py_None) {
		PyObject *then = PyObject_GetAttr(spot, epoch_), *now = PyObject_GetAttr(t->epoch, count_), *dict, *bytes;
		if (then && now && PyObject_RichCompareBool(then, now, Py_EQ) == 1) {
			dict = PyObject_GetAttr(spot, name), bytes = PyBytes_FromStringAndSize((char *)key, n);
			if (dict && bytes)
				found = PyDict_GetItemWithError(dict, bytes);
			Py_XINCREF(found);
			Py_XDECREF(dict), Py_XDECREF(bytes);
		}
		Py_XDECREF(then), Py_XDECREF(now);
	}
	Py_XDECREF(spot);
	return found;
}

static int miss(void) {
	return PyErr_Occurred() ? FAILED : LONG;
}

static int do_stat(struct turn *t, const uint8_t *m, Py_ssize_t size, unsigned tag, PyObject *f) {
	if (size != (m[4] == Tstat ? FID : GETATTR)) /* else it is wrong, whatever is kept */
		return LONG;
	PyObject *body = kept(t, f, told_, m + FID, size - FID);
	if (!body)
		return miss();
	int fits = PyBytes_Check(body) && PyBytes_GET_SIZE(body) < COPY;
	if (fits)
		reply(t, m[4] + 1, tag, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body));
	Py_DECREF(body);
	return fits ? DONE : LONG;
}

/* Whether an attribute is true (or not None); -1 on an error. */
static int truth(PyObject *of, PyObject *name) {
	PyObject *value = PyObject_GetAttr(of, name);
	int is = value ? PyObject_IsTrue(value) : -1;
	Py_XDECREF(value);
	return is;
}

static int do_walk(struct turn *t, const uint8_t *m, Py_ssize_t size, unsigned tag, PyObject *f) {
	uint32_t new = get(m + 11, 4);
	PyObject *trail = kept(t, f, trails_, m + NAMES, size - NAMES), *key = NULL, *made = NULL;
	if (!trail)
		return miss();
	int done = LONG, opened = truth(f, opened_);
	if (opened < 0 || !(key = PyLong_FromUnsignedLong(new)))
		done = FAILED;
	else if ((!opened || t->linked) && new != NOFID && PyDict_GET_SIZE(t->fids) < t->limit && !PyDict_Contains(t->fids, key)) {
		PyObject *body = PyTuple_GET_ITEM(trail, 4); /* node, name, spot, size, body */
		made = PyObject_Vectorcall(t->fid, &PyTuple_GET_ITEM(trail, 0), 3, NULL);
		if (!made || PyDict_SetItem(t->fids, key, made))
			done = FAILED;
		else
			reply(t, Twalk + 1, tag, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body)), done = DONE;
	}
	Py_DECREF(trail), Py_XDECREF(key), Py_XDECREF(made);
	return done;
}

static int do_clunk(struct turn *t, const uint8_t *m, unsigned tag, PyObject *f) {
	int opened = truth(f, opened_), ending = opened ? opened : truth(f, ending_);
	if (opened || ending)
		return opened < 0 || ending < 0 ? FAILED : LONG;
	PyObject *key = PyLong_FromUnsignedLong(get(m + HEADER, 4));
	int failed = !key || PyDict_DelItem(t->fids, key);
	Py_XDECREF(key);
	if (failed)
		return FAILED;
	reply(t, Rclunk, tag, NULL, 0);
	return DONE;
}

/* Whether a request is one for us: its length, its tag, and that its dialect has the short way. */
static int ours(struct turn *t, const uint8_t *m, Py_ssize_t size) {
	int kind = m[4], fits = kind == Tread ? size == READ : kind == Tclunk ? size == FID && !PyDict_GET_SIZE(t->waiting)
		: kind == Twalk ? size >= WALK : (kind == Tstat || kind == Tgetattr) && size >= FID;
	PyObject *waits;
	if (!fits || size > COPY || t->n > OUT - 2 * COPY)
		return 0;
	if (PyDict_GET_SIZE(t->waiting)) {
		waits = find(t->waiting, get(m + 5, 2));
		Py_XDECREF(waits);
		if (waits || PyErr_Occurred())
			return 0;
	}
	if (kind == Tread)
		return 1;
	PyObject *number = PyLong_FromLong(kind);
	int known = number ? PySequence_Contains(t->quick, number) : 0;
	Py_XDECREF(number);
	return known == 1;
}

static int one(struct turn *t, const uint8_t *m, Py_ssize_t size) {
	if (!ours(t, m, size))
		return miss();
	PyObject *f = find(t->fids, get(m + HEADER, 4));
	unsigned tag = get(m + 5, 2);
	if (!f)
		return miss();
	int done = m[4] == Tread ? do_read(t, m, tag, f) : m[4] == Twalk ? do_walk(t, m, size, tag, f)
		: m[4] == Tclunk ? do_clunk(t, m, tag, f) : do_stat(t, m, size, tag, f);
	Py_DECREF(f);
	return done;
}

/* Send what there is; what the socket did not take stays. */
static int send_out(struct turn *t) {
	int is = t->n ? closed(t) : 0;
	if (is)
		return is < 0 ? -1 : 0; /* whoever is left with the rest gives it to the transport, which is closing */
	ssize_t sent;
	if (!t->n)
		return 0;
	Py_BEGIN_ALLOW_THREADS
	sent = write(t->fd, t->out, t->n);
	Py_END_ALLOW_THREADS
	if (sent > 0)
		memmove(t->out, t->out + sent, t->n -= sent);
	return 0;
}

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Let whoever waits for this processor run: the client, if it shares it. Where somebody else runs besides, he is given
 * a slice for it now and then, which takes long: then it is left out, for twice as long each time. */
static void give_way(void) {
	static unsigned skip, pause;
	if (skip) {
		skip--;
		return;
	}
	long long before = now();
	sched_yield();
	if (now() - before > CROWDED)
		skip = pause = pause < LEAST ? LEAST : pause < MOST ? 2 * pause : MOST;
	else if (pause)
		pause--;
}

/* Read what has come meanwhile, or comes while we may wait for it awake. */
static ssize_t look(int fd, void *room, size_t size) {
	ssize_t came;
	Py_BEGIN_ALLOW_THREADS
	give_way();
	came = read(fd, room, size);
	for (long long end = spin ? now() + spin : 0; spin && came < 0 && errno == EAGAIN && now() < end;)
		came = read(fd, room, size);
	Py_END_ALLOW_THREADS
	return came;
}

static int begin(struct turn *t, PyObject *session) {
	PyObject *bounds = PyObject_GetAttr(session, bounds_), *most = PyObject_GetAttr(session, most_), *limit;
	t->session = session, t->n = 0;
	t->linked = truth(session, linked_);
	t->fids = PyObject_GetAttr(session, fids_), t->waiting = PyObject_GetAttr(session, waiting_);
	t->quick = PyObject_GetAttr(session, quick_), t->kept = PyObject_GetAttr(session, out_);
	limit = bounds ? PyObject_GetAttr(bounds, fids_) : NULL;
	if (most && limit)
		t->most = PyLong_AsUnsignedLong(most), t->limit = PyLong_AsSsize_t(limit);
	Py_XDECREF(bounds), Py_XDECREF(most), Py_XDECREF(limit);
	if (PyErr_Occurred())
		return -1;
	if (PyDict_Check(t->fids) && PyDict_Check(t->waiting) && PyList_Check(t->kept))
		return 0;
	PyErr_SetString(PyExc_TypeError, "a session has dictionaries of fids and of what waits, and a list of answers");
	return -1;
}

/* Answer from `at` on; where it stopped, or -1. */
static Py_ssize_t answer_all(struct turn *t, const uint8_t *room, Py_ssize_t have, long *asked) {
	Py_ssize_t at = 0, size;
	int done = DONE;
	while (done == DONE && have - at >= HEADER && (size = (Py_ssize_t)get(room + at, 4)) >= HEADER && size <= have - at) {
		if ((done = one(t, room + at, size)) == FAILED)
			return -1;
		if (done != LONG)
			at += size, ++*asked;
	}
	return at;
}

static PyObject *told(const long *numbers, const char *rest, Py_ssize_t n) {
	PyObject *tuple = PyTuple_New(5);
	for (int i = 0; tuple && i < 5; i++) {
		PyObject *item = i < 4 ? PyLong_FromLong(numbers[i]) : PyBytes_FromStringAndSize(rest, n);
		if (item)
			PyTuple_SET_ITEM(tuple, i, item);
		else
			Py_CLEAR(tuple);
	}
	return tuple;
}

static PyObject *turn(PyObject *module, PyObject *const *args, Py_ssize_t n) {
	struct turn t;
	Py_buffer room;
	Py_ssize_t at = 0;
	t.fids = t.waiting = t.quick = t.kept = NULL;
	if (n != 8) {
		PyErr_SetString(PyExc_TypeError, "turn takes session, epoch, fid, fd, room, have, looks, closing");
		return NULL;
	}
	PyObject *session = args[0], *result = NULL;
	t.epoch = args[1], t.fid = args[2], t.closing = args[7];
	t.fd = PyLong_AsLong(args[3]), t.wrote = 0;
	long have = PyLong_AsLong(args[5]), looks = PyLong_AsLong(args[6]), asked = 0;
	if (PyErr_Occurred() || PyObject_GetBuffer(args[4], &room, PyBUF_WRITABLE))
		return NULL;
	if (have < 0 || have > room.len)
		PyErr_SetString(PyExc_ValueError, "more has come than there is room for");
	else if (!begin(&t, session))
		for (;;) {
			at = answer_all(&t, room.buf, have, &asked);
			if (at < 0 || at < have || !(t.n || t.wrote) || PyList_GET_SIZE(t.kept))
				break;
			if (send_out(&t)) {
				at = -1;
				break;
			}
			if (t.n || looks <= 0)
				break;
			looks--;
			ssize_t came = look(t.fd, room.buf, room.len);
			at = 0, have = came > 0 ? came : 0;
			if (!have)
				break;
		}
	if (at >= 0 && !PyErr_Occurred())
		result = told((long[]){at, have, asked, looks}, (char *)t.out, t.n);
	PyBuffer_Release(&room);
	Py_XDECREF(t.fids), Py_XDECREF(t.waiting), Py_XDECREF(t.quick), Py_XDECREF(t.kept);
	return result;
}

static PyObject *set_spin(PyObject *module, PyObject *microseconds) {
	long value = PyLong_AsLong(microseconds);
	if (PyErr_Occurred())
		return NULL;
	spin = value * 1000ll;
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{"spin", set_spin, METH_O, "spin(microseconds) -> None"},
	{"turn", (PyCFunction)(void (*)(void))turn, METH_FASTCALL, "turn(session, epoch, fid, fd, room, have, looks, closing) -> (at, have, asked, looks, rest)"},
	{NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "lux9_short", "The short ways of lux9.ninep, in C.", -1, methods};

PyMODINIT_FUNC PyInit_lux9_short(void) {
	static const struct { PyObject **to; const char *name; } names[] = {
		{&fids_, "fids"}, {&waiting_, "waiting"}, {&most_, "most"}, {&linked_, "linked"}, {&bounds_, "bounds"},
		{&quick_, "quick"}, {&read_, "read"}, {&spot_, "spot"}, {&epoch_, "epoch"}, {&count_, "count"}, {&told_, "told"},
		{&trails_, "trails"}, {&opened_, "opened"}, {&ending_, "ending"}, {&failed_, "failed"}, {&answer_, "answer"},
		{&data_, "data"}, {&out_, "out"}, {&name_, "name"}, {&word_read, "read"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!(*names[i].to = PyUnicode_InternFromString(names[i].name)))
			return NULL;
	PyObject *module = PyModule_Create(&definition);
	if (module && PyModule_AddIntMacro(module, INTERFACE) < 0)
		Py_CLEAR(module);
	return module;
}
