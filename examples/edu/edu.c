/*
 * A driver for QEMU's educational device in C: id, factorial, interrupt, DMA.
 *
 *   cc -o edu examples/edu/edu.c
 *   lux9 boot --device edu --exec 'lux9 run -- ./edu 0000:00:01.0'
 *
 * Nothing but files: pread and pwrite of a BAR are accesses of the hardware, an interrupt is a read that returns.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ID = 0x00, FACTORIAL = 0x08, STATUS = 0x20, CAUSE = 0x24, ACK = 0x64 };
enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, COMMAND = 0x98 };
enum { IRQ_WHEN_DONE = 0x80, RUN = 1, TO_MEMORY = 2, IRQ = 4 };
enum { INSIDE = 0x40000 }; /* where the device has memory of its own */

static int bar, irq;

static uint32_t get(off_t at)
{
	uint32_t value;
	if (pread(bar, &value, 4, at) != 4)
		err(1, "bar0 at %#llx", (long long)at);
	return value;
}

static void set(off_t at, uint64_t value, size_t width)
{
	if (pwrite(bar, &value, width, at) != (ssize_t)width)
		err(1, "bar0 at %#llx", (long long)at);
}

/* Open a file, its name made as by printf. */
static int must(int flags, const char *form, const char *word)
{
	char path[256];
	snprintf(path, sizeof path, form, word);
	int fd = open(path, flags);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* One write of a command; the answer, if there is room for one. */
static void tell(int fd, const char *command, char *answer, size_t room)
{
	if (write(fd, command, strlen(command)) < 0)
		err(1, "%s", command);
	ssize_t n = room ? read(fd, answer, room - 1) : 0;
	if (n < 0)
		err(1, "the answer to %s", command);
	if (room)
		answer[n] = 0;
}

/* Wait for an interrupt, then make the device let go of its line; why it came. */
static uint32_t interrupt(void)
{
	char text[64];
	if (read(irq, text, sizeof text) < 0)
		err(1, "irq");
	uint32_t cause = get(CAUSE);
	set(ACK, cause, 4);
	return cause;
}

static uint32_t dma(uint64_t source, uint64_t destination, uint64_t count, uint64_t command)
{
	set(SOURCE, source, 8);
	set(DESTINATION, destination, 8);
	set(COUNT, count, 8);
	set(COMMAND, command | RUN | IRQ, 8);
	return interrupt();
}

int main(int argc, char **argv)
{
	const char *function = argc > 1 ? argv[1] : getenv("LUX9_FUNCTION");
	char text[512], name[16], *at;
	if (function == NULL)
		errx(1, "usage: edu 0000:00:01.0");

	/* Claim it; the end of this program, however it comes, gives it back. */
	int ctl = must(O_RDWR, "/dev/pci/%s/ctl", function);
	tell(ctl, "claim", NULL, 0);
	bar = must(O_RDWR, "/dev/pci/%s/bar0", function);
	printf("id %08x\n", get(ID));

	/* A buffer: the device gets `paddr`, we get a file. */
	tell(must(O_RDWR, "%s", "/dev/dma/alloc"), "size 4096", text, sizeof text);
	if ((at = strstr(text, "paddr:")) == NULL)
		errx(1, "/dev/dma/alloc answered %s", text);
	uint64_t paddr = strtoull(at + 6, NULL, 0);
	if ((at = strstr(text, "handle:")) == NULL)
		errx(1, "/dev/dma/alloc answered %s", text);
	at[strcspn(at, "\n")] = 0;
	int buffer = must(O_RDWR, "/dev/dma/%s", at + 7);

	/* A message instead of a line, which is a write to memory as well: the answer is its number. */
	tell(ctl, "master on", NULL, 0);
	int irqs = must(O_RDWR, "%s", "/dev/irq/ctl");
	snprintf(text, sizeof text, "msi %s 1 edu", function);
	tell(irqs, text, name, sizeof name);
	name[strcspn(name, " \n")] = 0;
	irq = must(O_RDONLY, "/dev/irq/%s", name);

	/* A factorial; the device interrupts when it has it. */
	set(STATUS, IRQ_WHEN_DONE, 4);
	set(FACTORIAL, 10, 4);
	uint32_t cause = interrupt();
	set(STATUS, 0, 4);
	printf("10! = %u, interrupt %s, cause %u\n", get(FACTORIAL), name, cause);

	/* Into the device's own memory, and back to another place. */
	char hello[] = "hello from C", back[sizeof hello];
	if (pwrite(buffer, hello, sizeof hello, 0) < 0)
		err(1, "the buffer");
	dma(paddr, INSIDE, sizeof hello, 0);
	cause = dma(INSIDE, paddr + 64, sizeof hello, TO_MEMORY);
	if (pread(buffer, back, sizeof back, 64) < 0)
		err(1, "the buffer");
	printf("dma: %s, cause %u\n", back, cause);
	return 0;
}
