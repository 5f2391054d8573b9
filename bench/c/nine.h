/* 9P2000 and 9P2000.L as far as the measuring programs speak it: numbers, and integers in little-endian order. */
#include <stdint.h>
#include <string.h>

enum {
	Rlerror = 7, Tlopen = 12, Tgetattr = 24, Tversion = 100, Tattach = 104, Rerror = 107, Twalk = 110, Topen = 112,
	Tread = 116, Twrite = 118, Tclunk = 120, Tstat = 124,
};
enum { HEADER = 7, NOTAG = 0xffff, NAMES = 16, GETATTR_BASIC = 0x7ff };

static inline uint8_t *put(uint8_t *p, uint64_t value, int bytes) {
	memcpy(p, &value, bytes); /* this machine's order is that of the wire: checked by main */
	return p + bytes;
}

static inline uint64_t get(const uint8_t *p, int bytes) {
	uint64_t value = 0;
	memcpy(&value, p, bytes);
	return value;
}

static inline uint8_t *put_text(uint8_t *p, const char *text, size_t n) {
	p = put(p, n, 2);
	memcpy(p, text, n);
	return p + n;
}
