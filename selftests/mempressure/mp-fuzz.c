// SPDX-License-Identifier: GPL-2.0
/*
 * Writes nonsense, and what looks like sense, to the files of the mempressure controller.
 *
 * usage: mp-fuzz CGROUP WRITES SEED
 *
 * CGROUP is a directory to be made, on cgroup v2, below one that has the controllers memory and
 * mempressure enabled for its children. It holds a cgroup in which the workers are at home, and
 * some that come and go, with open files in them. The workers write, read, poll, dup, fork, take
 * open files from each other, move between the cgroups, and have memory reclaimed so that there is
 * something to answer. In between the controller is switched off and on.
 *
 * Prints TAP: that no errno came but those that are documented; that much was accepted, and
 * refused for many reasons, so that it says something; and that nothing stays registered or
 * offered. The seed is for the strings; what happens in which order is up to the scheduler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4
#define CGROUPS 6
#define FILES 48		/* open in each worker */
#define MEMORY (4UL << 20)	/* of each worker */
#define LONGEST 6000		/* more than a page */
#define ERRNOS 134
#define MANY 50000		/* writes, beyond which what takes long gets rarer */

enum kind { LEVEL, SHRINKER, STAT, EVENTS, EVENTS_LOCAL, KINDS };

static const char * const names[KINDS] = {
	"level", "shrinker", "stat", "events", "events.local",
};

/* What Documentation/admin-guide/cgroup-v2.rst says, ended by 0 */
static const int write_errors[KINDS][16] = {
	[LEVEL] = { EINVAL, E2BIG, EOPNOTSUPP, ENODEV },
	[SHRINKER] = { EINVAL, ERANGE, EOVERFLOW, E2BIG, ENXIO, ENODATA, EBUSY, EPERM, ENOSPC,
		       ENOMEM, EOPNOTSUPP, ENODEV },
};

static const int read_errors[KINDS][16] = {
	[LEVEL] = { ENODEV },
	[SHRINKER] = { ENODATA, ENODEV },
	[STAT] = { ENODEV },
	[EVENTS] = { ENODEV },
	[EVENTS_LOCAL] = { ENODEV },
};

/* Shared by the workers */
static struct {
	long left;			/* writes */
	long wrong;			/* what should not have come */
	long taken;			/* open files that were another worker's */
	int workers[WORKERS];
	long writes[KINDS][ERRNOS];	/* by errno, 0 for success */
} *count;

static const char *top;
static uint64_t state;
static uint64_t rarity;

static uint64_t rnd(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	/* The first few will do */
	if (__atomic_add_fetch(&count->wrong, 1, __ATOMIC_RELAXED) > 20)
		return;
	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

static bool among(const int *errors, int error)
{
	for (; *errors; errors++)
		if (*errors == error)
			return true;
	return false;
}

/* ---- cgroups --------------------------------------------------------------- */

static int put(const char *cgroup, const char *file, const char *text)
{
	char path[4096];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static long get(const char *cgroup, const char *key)
{
	char path[4096], name[64];
	long value = -1, next;
	FILE *file;

	snprintf(path, sizeof(path), "%s/mempressure.stat", cgroup);
	file = fopen(path, "re");
	while (file && fscanf(file, "%63s %ld", name, &next) == 2)
		if (!strcmp(name, key))
			value = next;
	if (file)
		fclose(file);
	return value;
}

/* One that comes and goes, or the home of the workers. */
static const char *child(uint64_t n)
{
	static char path[4096];

	if (n < CGROUPS)
		snprintf(path, sizeof(path), "%s/%d", top, (int)n);
	else
		snprintf(path, sizeof(path), "%s/home", top);
	return path;
}

static void move(const char *cgroup)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	put(cgroup, "cgroup.procs", pid);
}

/* ---- what is written ------------------------------------------------------- */

static const char * const numbers[] = {
	"0", "1", "2", "7", "64", "4096", "65536", "1048576", "2147483648", "4294967296",
	"9223372036854775807", "9223372036854775808", "18446744073709551615",
	"18446744073709551616", "99999999999999999999999", "-1", "+1", "0x10", "010", "1e3", "",
};

static const char * const lists[] = {
	"0", "1", "0-1", "0-63", "63", "1000000", "", "x", "0,", "1-0",
};

static size_t number(char *buf)
{
	if (rnd(3))
		return sprintf(buf, "%lu", (unsigned long)(rnd(64) << rnd(16)));
	return sprintf(buf, "%s", numbers[rnd(sizeof(numbers) / sizeof(*numbers))]);
}

static size_t grammar(char *buf, enum kind kind)
{
	static const char * const levels[] = { "low", "medium", "critical", "none", "lo", "" };
	char *at = buf;

	if (kind == LEVEL ? rnd(8) : !rnd(8))
		return sprintf(buf, "%s%s", levels[rnd(6)], rnd(4) ? "" : "\n");

	switch (rnd(8)) {
	case 0:
		at += sprintf(at, "chunk_size=");
		at += number(at);
		if (!rnd(4))
			at += sprintf(at, " nodes=%s", lists[rnd(sizeof(lists) / sizeof(*lists))]);
		break;
	case 1:
		return sprintf(buf, "chunk_size=4096");
	case 2:
		return sprintf(buf, "decline");
	case 3:
	case 4:
		*at++ = '-';
		at += number(at);
		break;
	default:
		*at++ = '+';
		at += number(at);
		break;
	}
	if (!rnd(8))
		at += sprintf(at, "%s", rnd(2) ? "\n" : " x");
	return at - buf;
}

static size_t text(char *buf, enum kind kind)
{
	size_t len, i;

	if (rnd(8)) {
		len = grammar(buf, kind);
		/* What programs of 2012 did: one byte more */
		if (!rnd(8))
			buf[len++] = '\0';
		/* A bit is wrong */
		if (len && !rnd(8))
			buf[rnd(len)] ^= 1 << rnd(8);
		return len;
	}

	len = rnd(4) ? rnd(40) : rnd(LONGEST);
	for (i = 0; i < len; i++)
		buf[i] = rnd(4) ? ' ' + rnd(95) : rnd(256);
	return len;
}

/* ---- workers --------------------------------------------------------------- */

static struct {
	int fd;
	enum kind kind;
} files[FILES];

static void open_one(int i)
{
	enum kind kind = rnd(3) ? SHRINKER : rnd(KINDS);
	bool rw = kind == LEVEL || kind == SHRINKER;
	char path[4200];
	uint64_t where = rnd(CGROUPS + 3);

	if (where > CGROUPS + 1)
		snprintf(path, sizeof(path), "%s/mempressure.%s", top, names[kind]);
	else
		snprintf(path, sizeof(path), "%s/mempressure.%s", child(where), names[kind]);
	files[i].kind = kind;
	files[i].fd = open(path, (rw || !rnd(4) ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	/* The cgroup, or the controller in it, may not be there just now */
	if (files[i].fd < 0 && errno != ENOENT && errno != ENODEV)
		wrong("open %s: %s", path, strerror(errno));
}

static void write_one(int i)
{
	static char buf[LONGEST + 64];
	static const char * volatile nowhere = (const char *)8;
	enum kind kind = files[i].kind;
	size_t len;
	int error;

	if (kind != LEVEL && kind != SHRINKER) {
		if (write(files[i].fd, "1", 1) >= 0 ||
		    (errno != EBADF && errno != EINVAL && errno != ENODEV))
			wrong("%s can be written: %s", names[kind], strerror(errno));
		return;
	}
	if (__atomic_sub_fetch(&count->left, 1, __ATOMIC_RELAXED) < 0)
		return;
	len = text(buf, kind);
	error = write(files[i].fd, buf, len) < 0 ? errno : 0;
	if (error >= ERRNOS)
		error = ERRNOS - 1;
	__atomic_add_fetch(&count->writes[kind][error], 1, __ATOMIC_RELAXED);
	if (error && !among(write_errors[kind], error))
		wrong("%s: \"%.60s\": %s", names[kind], buf, strerror(error));
	/* Most files would be of cgroups that are gone */
	if (error == ENODEV && rnd(2)) {
		close(files[i].fd);
		files[i].fd = -1;
		return;
	}
	if (!rnd(256) && (write(files[i].fd, nowhere, 8) >= 0 ||
			  (errno != EFAULT && errno != ENODEV)))
		wrong("%s: from nowhere: %s", names[kind], strerror(errno));
}

static void read_one(int i)
{
	char buf[512];

	if (pread(files[i].fd, buf, 1 + rnd(sizeof(buf)), rnd(8) ? 0 : rnd(64)) < 0 &&
	    !among(read_errors[files[i].kind], errno))
		wrong("read %s: %s", names[files[i].kind], strerror(errno));
}

static void poll_one(int i)
{
	struct pollfd pfd = { .fd = files[i].fd, .events = POLLPRI | POLLIN };

	if (poll(&pfd, 1, 0) < 0 || (pfd.revents & POLLNVAL))
		wrong("poll %s", names[files[i].kind]);
}

/* Which kind an open file is, or KINDS if it is none of these */
static enum kind kind_of(int fd)
{
	char link[64], path[4200], *name;
	int kind;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	name = strstr(path, "/mempressure.");
	if (!name)
		return KINDS;
	/* It ends so if the file is gone */
	name[strcspn(name, " ")] = '\0';
	for (kind = 0; kind < KINDS; kind++)
		if (!strcmp(name + strlen("/mempressure."), names[kind]))
			break;
	return kind;
}

/* Takes an open file from another worker, as if it had been passed on. */
static void take_one(int i)
{
	int pidfd = syscall(SYS_pidfd_open, count->workers[rnd(WORKERS)], 0), fd;

	if (pidfd < 0)
		return;
	fd = syscall(SYS_pidfd_getfd, pidfd, 3 + rnd(FILES), 0);
	close(pidfd);
	if (fd < 0)
		return;
	if (kind_of(fd) == KINDS) {
		close(fd);
		return;
	}
	files[i].kind = kind_of(fd);
	files[i].fd = fd;
	__atomic_add_fetch(&count->taken, 1, __ATOMIC_RELAXED);
}

static void dup_one(int i, int j)
{
	if (files[j].fd >= 0)
		close(files[j].fd);
	files[j].kind = files[i].kind;
	files[j].fd = fcntl(files[i].fd, F_DUPFD_CLOEXEC, 0);
}

static void step(int depth);

/* All open files are in two processes for a while. */
static void fork_one(int depth)
{
	int pid = fork();

	if (!pid) {
		for (int i = 0; i < 8; i++)
			step(depth + 1);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void step(int depth)
{
	static char *memory;
	int i = rnd(FILES), fd = files[i].fd;

	if (fd < 0) {
		if (rnd(4))
			open_one(i);
		else
			take_one(i);
		return;
	}
	switch (rnd(64)) {
	case 0 ... 39:
		write_one(i);
		break;
	case 40 ... 47:
		read_one(i);
		break;
	case 48 ... 53:
		poll_one(i);
		break;
	case 54 ... 55:
		if (rnd(1 + rarity / 8))
			break;
		files[i].fd = -1;
		close(fd);
		break;
	case 56:
		if (!rnd(1 + rarity / 8))
			dup_one(i, rnd(FILES));
		break;
	case 58:
		if (!depth && !rnd(8 * rarity))
			fork_one(depth);
		break;
	case 59:
		if (!rnd(rarity))
			move(child(rnd(CGROUPS + 1)));
		break;
	case 60:
		if (rnd(rarity))
			break;
		if (!memory)
			memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory != MAP_FAILED) {
			/* It is charged to where the worker is now */
			madvise(memory, MEMORY, MADV_DONTNEED);
			memset(memory, 1, MEMORY);
		}
		put(child(rnd(CGROUPS + 1)), "memory.reclaim", "1M");
		break;
	}
}

static int work(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < FILES; i++)
		files[i].fd = -1;
	move(child(CGROUPS));
	while (__atomic_load_n(&count->left, __ATOMIC_RELAXED) > 0)
		step(0);
	return 0;
}

/* ---- all together ---------------------------------------------------------- */

static int result(bool good, const char *name)
{
	static int number;

	printf("%sok %d - new: fuzz: %s\n", good ? "" : "not ", ++number, name);
	fflush(stdout);
	return !good;
}

static void disturb(void)
{
	uint64_t n = rnd(CGROUPS);

	if (!rnd(32))
		put(top, "cgroup.subtree_control", rnd(3) ? "+mempressure" : "-mempressure");
	else if (rmdir(child(n)))
		mkdir(child(n), 0755);
}

static long usecs(const struct timespec *from, const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) * 1000000 + (to->tv_nsec - from->tv_nsec) / 1000;
}

static bool ended(void)
{
	static time_t said;
	bool all = true;

	if (rarity > 1 && time(NULL) - said >= 60) {
		said = time(NULL);
		printf("# %ld writes left\n", __atomic_load_n(&count->left, __ATOMIC_RELAXED));
		fflush(stdout);
	}

	for (int i = 0; i < WORKERS; i++)
		if (!waitpid(count->workers[i], NULL, WNOHANG))
			all = false;
	return all;
}

/* Those that are gone still count for a moment. */
static bool becomes_zero(const char *key)
{
	for (int i = 0; i < 600; i++) {
		if (!get(top, key))
			return true;
		usleep(100000);
	}
	printf("# %s %ld\n", key, get(top, key));
	return false;
}

static int report(long writes)
{
	static const int often[] = { 0, EINVAL, ERANGE, ENODATA, EBUSY, EPERM };
	bool varied = true, zero;
	long all = 0;
	int failed;

	for (int kind = 0; kind <= SHRINKER; kind++)
		for (int i = 0; i < ERRNOS; i++) {
			all += count->writes[kind][i];
			if (count->writes[kind][i])
				printf("# %s: %s: %ld\n", names[kind],
				       i ? strerror(i) : "accepted", count->writes[kind][i]);
		}
	for (unsigned int i = 0; i < sizeof(often) / sizeof(*often); i++)
		varied &= count->writes[SHRINKER][often[i]] > 0;
	varied &= count->writes[LEVEL][0] > 0 && count->writes[LEVEL][EINVAL] > 0;
	printf("# %ld writes, %ld files passed on; asked for %ld bytes, settled %ld, declined %ld\n",
	       all, count->taken, get(top, "asked"), get(top, "settled"), get(top, "declined"));
	varied &= count->taken > 0 && get(top, "asked") > 0;

	failed = result(all >= writes && !count->wrong, "no errno but those documented");
	failed |= result(varied, "some was accepted, some refused for each common reason");
	zero = becomes_zero("registrations");
	zero &= becomes_zero("offered");
	failed |= result(zero, "nothing stays registered or offered");
	return failed;
}

int main(int argc, char **argv)
{
	int failed;
	long writes;

	if (argc != 4) {
		fprintf(stderr, "usage: mp-fuzz CGROUP WRITES SEED\n");
		return 2;
	}
	top = argv[1];
	writes = atol(argv[2]);
	state = atol(argv[3]) + 1;
	/*
	 * An open or a close, and more so a fork, a move, reclaim, a cgroup made or removed, takes
	 * as long as many writes
	 */
	rarity = 1 + writes / MANY;
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (count == MAP_FAILED) {
		perror("mp-fuzz");
		return 1;
	}
	count->left = writes;
	printf("1..3\n");
	fflush(stdout);
	mkdir(top, 0755);
	if (put(top, "cgroup.subtree_control", "+memory +mempressure"))
		printf("# %s has no mempressure controller\n", top);
	mkdir(child(CGROUPS), 0755);
	for (int i = 0; i < CGROUPS; i++)
		mkdir(child(i), 0755);
	if (get(top, "registrations") != 0) {
		failed = result(false, "no errno but those documented");
		failed |= result(false, "some was accepted, some refused for each common reason");
		failed |= result(false, "nothing stays registered or offered");
		goto remove;
	}

	for (int i = 0; i < WORKERS; i++) {
		int pid = fork();

		if (!pid)
			_exit(work(atol(argv[3]) * WORKERS + i));
		count->workers[i] = pid;
	}
	while (!ended()) {
		struct timespec before, after;

		clock_gettime(CLOCK_MONOTONIC, &before);
		disturb();
		clock_gettime(CLOCK_MONOTONIC, &after);
		/* It holds cgroup_mutex, for which all wait who open a file */
		usleep(1000 * rarity + (rarity - 1) * usecs(&before, &after) / 8);
	}
	put(top, "cgroup.subtree_control", "+mempressure");
	failed = report(writes);
remove:
	for (int i = 0; i <= CGROUPS; i++)
		rmdir(child(i));
	if (rmdir(top))
		perror(top);
	return failed;
}
