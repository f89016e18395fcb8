// SPDX-License-Identifier: GPL-2.0
/*
 * How long does it take from the start of reclaim in a memory cgroup to when an
 * application in it hears of that? For the scenario latency.
 *
 * usage: mp-latency CGROUP MODE ROUNDS FILE
 *	CGROUP	has a limit of 64 MB, which nothing else is charged to
 *	MODE	shrinker, level (any) or psi (some 50000 500000)
 *	FILE	is larger than that; it is read, again and again, to fill the rest
 *
 * The application has 32 MB of chunks. In each round it has all of them, and
 * FILE is read until it hears of it, for ten seconds at most. It frees what it
 * is asked for, or else 32 chunks. The start is the round's first event of the
 * tracepoint mm_vmscan_memcg_reclaim_begin.
 *
 * Prints "rounds N heard N median_us N p99_us N max_us N", of those heard.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK		65536UL
#define CHUNKS		512UL
#define FREED		32UL
#define TRACING		"/sys/kernel/tracing/"
#define EVENT		TRACING "events/vmscan/mm_vmscan_memcg_reclaim_begin/enable"

static const char *cgroup, *file;
static bool shrinker;

/* What the application and who measures share */
static struct {
	_Atomic uint64_t heard;		/* when, in ns, or 0 */
	_Atomic bool refill;		/* allocate again what was freed */
} *shared;

static void die(const char *what)
{
	fprintf(stderr, "mp-latency: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static int open_in(const char *name, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, flags);
	if (fd < 0)
		die(path);
	return fd;
}

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		die(text);
}

/* Ends with whoever started it. */
static pid_t child_in_cgroup(void (*fn)(const char *), const char *arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	say(open_in("cgroup.procs", O_WRONLY), "0");
	fn(arg);
	exit(0);
}

static void touch(char *mem, size_t chunks)
{
	for (size_t i = 0; i < chunks * CHUNK; i += 4096)
		mem[i] = 1;
}

static int listen_to(const char *mode)
{
	int fd;

	if (!strcmp(mode, "psi")) {
		fd = open_in("memory.pressure", O_RDWR);
		say(fd, "some 50000 500000");
	} else if (shrinker) {
		fd = open_in("mempressure.shrinker", O_RDWR);
		say(fd, "chunk_size=65536");
	} else {
		fd = open_in("mempressure.level", O_RDWR);
		say(fd, "low");
	}
	return fd;
}

static void tell(int fd, char sign, size_t chunks)
{
	char text[32];

	if (!shrinker || !chunks)
		return;
	snprintf(text, sizeof(text), "%c%zu", sign, chunks);
	say(fd, text);
}

/* How many chunks to free. A read makes the file forget that it has told. */
static size_t wanted(int fd, const char *mode)
{
	char text[256], *asked;
	ssize_t len;

	if (!strcmp(mode, "psi"))
		return FREED;
	len = pread(fd, text, sizeof(text) - 1, 0);
	if (len < 0)
		die("read");
	text[len] = '\0';
	asked = strstr(text, "\nasked ");
	return asked ? strtoul(asked + 7, NULL, 10) : FREED;
}

static void application(const char *mode)
{
	char *mem = mmap(NULL, CHUNKS * CHUNK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pollfd pfd = { .fd = listen_to(mode), .events = POLLPRI };
	size_t has = 0, n;

	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, CHUNKS * CHUNK, MADV_NOHUGEPAGE);
	for (;;) {
		if (shared->refill) {
			touch(mem + has * CHUNK, CHUNKS - has);
			tell(pfd.fd, '+', CHUNKS - has);
			has = CHUNKS;
			shared->refill = false;
		}
		if (poll(&pfd, 1, 10) <= 0 || !(pfd.revents & POLLPRI))
			continue;
		if (!shared->heard)
			shared->heard = now();
		n = wanted(pfd.fd, mode);
		n = n < has ? n : has;
		has -= n;
		madvise(mem + has * CHUNK, n * CHUNK, MADV_DONTNEED);
		tell(pfd.fd, '-', n);
	}
}

static void reader(const char *name)
{
	static char buf[1 << 16];
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		die(name);
	for (;; lseek(fd, 0, SEEK_SET))
		while (read(fd, buf, sizeof(buf)) > 0)
			;
}

static void drop_file(void)
{
	int fd = open(file, O_RDONLY);

	if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(file);
	close(fd);
}

/* When reclaim began, in ns, or 0 */
static uint64_t began(void)
{
	FILE *trace = fopen(TRACING "trace", "r");
	uint64_t sec, usec, first = 0, at;
	char line[512], *colon;

	while (trace && fgets(line, sizeof(line), trace)) {
		colon = strstr(line, ": mm_vmscan_memcg_reclaim_begin");
		if (!colon)
			continue;
		while (colon > line && colon[-1] != ' ')
			colon--;
		if (sscanf(colon, "%lu.%lu:", &sec, &usec) != 2)
			continue;
		at = sec * 1000000000ULL + usec * 1000;
		/* The buffers of all CPUs are in order, but for equal stamps */
		if (!first || at < first)
			first = at;
	}
	if (trace)
		fclose(trace);
	return first;
}

/* In us; -1 if it did not hear, -2 if there was no reclaim */
static long one_round(void)
{
	uint64_t start;
	pid_t pid;

	drop_file();
	shared->refill = true;
	while (shared->refill)
		usleep(1000);
	usleep(600000);		/* more than PSI's window */
	put(TRACING "trace", "");
	shared->heard = 0;
	put(TRACING "tracing_on", "1");
	pid = child_in_cgroup(reader, file);
	for (int i = 0; i < 10000 && !shared->heard; i++)
		usleep(1000);
	put(TRACING "tracing_on", "0");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	start = began();
	if (!start)
		return -2;
	/* The trace has microseconds, rounded */
	return !shared->heard ? -1 : shared->heard <= start ? 0 :
	       (long)((shared->heard - start) / 1000);
}

static int compare(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 : *(const long *)a > *(const long *)b;
}

int main(int argc, char **argv)
{
	int rounds, heard = 0;
	long *us, took;
	pid_t app;

	if (argc != 5 || (strcmp(argv[2], "shrinker") && strcmp(argv[2], "level") &&
			  strcmp(argv[2], "psi")) || atoi(argv[3]) <= 0) {
		fputs("usage: mp-latency CGROUP shrinker|level|psi ROUNDS FILE\n", stderr);
		return 2;
	}
	cgroup = argv[1];
	shrinker = !strcmp(argv[2], "shrinker");
	rounds = atoi(argv[3]);
	file = argv[4];
	us = calloc(rounds, sizeof(*us));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!us || shared == MAP_FAILED)
		die("memory");

	put(TRACING "tracing_on", "0");
	put(TRACING "trace_clock", "mono");
	put(TRACING "options/overwrite", "0");
	put(EVENT, "1");
	app = child_in_cgroup(application, argv[2]);
	for (int i = 0; i < rounds; i++) {
		took = one_round();
		if (took == -2) {
			fputs("mp-latency: there was no reclaim\n", stderr);
			return 1;
		}
		if (took >= 0)
			us[heard++] = took;
	}
	kill(app, SIGKILL);
	waitpid(app, NULL, 0);
	put(EVENT, "0");
	put(TRACING "options/overwrite", "1");
	put(TRACING "tracing_on", "1");

	qsort(us, heard, sizeof(*us), compare);
	printf("rounds %d heard %d", rounds, heard);
	if (heard)
		printf(" median_us %ld p99_us %ld max_us %ld", us[heard / 2],
		       us[(heard * 99 - 1) / 100], us[heard - 1]);
	putchar('\n');
	return 0;
}
