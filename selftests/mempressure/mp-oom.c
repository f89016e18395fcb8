// SPDX-License-Identifier: GPL-2.0
/*
 * The machine runs out of memory while an application has been asked to free some, and takes its
 * time. For the scenario machine-oom.
 *
 * usage: mp-oom CACHE LOAD ANSWER_MS
 *	CACHE, LOAD	cgroups for the application and for a load beside it
 *	ANSWER_MS	how long it takes to answer, or "never"
 *
 * The application has three fifths of what is available, and offers all of it. The load takes as
 * much. If somebody has to be killed, it is the application. On a machine with more than 256 MB
 * available, what is beyond that is taken beforehand.
 *
 * Prints "load WELL cache ALIVE asked N settled N", in chunks, WELL and ALIVE being 0 or 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK		65536UL
#define ENOUGH_KB	(256UL << 10)

/* What the application and who started it share */
static struct {
	_Atomic bool ready;
	_Atomic unsigned long asked, settled;
} *shared;

static size_t chunks;			/* of each of the two */
static long answer_ms = -1;

static void die(const char *what)
{
	fprintf(stderr, "mp-oom: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static int open_in(const char *cgroup, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void say(int fd, char sign, unsigned long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%c%lu", sign, n);
	if (write(fd, text, strlen(text)) < 0)
		die(text);
}

static char *touch(size_t n)
{
	char *mem = mmap(NULL, n * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, n * CHUNK, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < n * CHUNK; i += 4096)
		mem[i] = 1;
	return mem;
}

static unsigned long asked(int fd)
{
	char text[256], *at;
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		die("read");
	text[len] = '\0';
	at = strstr(text, "\nasked ");
	return at ? strtoul(at + 7, NULL, 10) : 0;
}

static void application(const char *cgroup)
{
	struct pollfd pfd = { .events = POLLPRI };
	char *mem = touch(chunks);
	size_t freed = 0, n;

	pfd.fd = open_in(cgroup, "mempressure.shrinker", O_RDWR);
	if (write(pfd.fd, "chunk_size=65536", 16) < 0)
		die("chunk_size=65536");
	say(pfd.fd, '+', chunks);
	/* What it takes to answer has to be there already */
	asked(pfd.fd);
	shared->ready = true;
	for (;;) {
		if (poll(&pfd, 1, -1) <= 0)
			continue;
		if (answer_ms < 0)
			pause();
		usleep(answer_ms * 1000);
		n = asked(pfd.fd);
		if (!n)
			continue;
		shared->asked += n;
		madvise(mem + freed * CHUNK, n * CHUNK, MADV_DONTNEED);
		freed += n;
		say(pfd.fd, '-', n);
		shared->settled += n;
	}
}

static void load(const char *cgroup)
{
	(void)cgroup;
	touch(chunks);
}

/* Ends with whoever started it. */
static pid_t child_in(const char *cgroup, void (*fn)(const char *), const char *oom_score_adj)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	put("/proc/self/oom_score_adj", oom_score_adj);
	if (write(open_in(cgroup, "cgroup.procs", O_WRONLY), "0", 1) < 0)
		die("cgroup.procs");
	fn(cgroup);
	exit(0);
}

static size_t available_kb(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	size_t kb = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %zu", &kb) == 1)
			break;
	if (!kb)
		die("/proc/meminfo");
	fclose(file);
	return kb;
}

/* All at once, which takes less time than page by page. */
static void ballast(void)
{
	size_t kb = available_kb();

	if (kb > ENOUGH_KB && mmap(NULL, (kb - ENOUGH_KB) << 10, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
		die("mmap");
}

int main(int argc, char **argv)
{
	pid_t cache, pid;
	int status, end;

	if (argc != 4 || (strcmp(argv[3], "never") && atol(argv[3]) <= 0)) {
		fputs("usage: mp-oom CACHE LOAD ANSWER_MS|never\n", stderr);
		return 2;
	}
	if (strcmp(argv[3], "never"))
		answer_ms = atol(argv[3]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	put("/proc/self/oom_score_adj", "-1000");
	ballast();
	chunks = available_kb() * 3 / 5 * 1024 / CHUNK;

	cache = child_in(argv[1], application, "1000");
	while (!shared->ready) {
		if (waitpid(cache, NULL, WNOHANG))
			return 1;
		usleep(10000);
	}
	pid = child_in(argv[2], load, "0");
	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	/*
	 * The OOM killer's victim may still be on its way out, its memory reaped. The signal that
	 * came first is what it dies of.
	 */
	kill(cache, SIGTERM);
	if (waitpid(cache, &end, 0) != cache)
		die("wait");
	printf("load %d cache %d asked %lu settled %lu\n", WIFEXITED(status) && !WEXITSTATUS(status),
	       WIFSIGNALED(end) && WTERMSIG(end) == SIGTERM, shared->asked, shared->settled);
	return 0;
}
