// SPDX-License-Identifier: GPL-2.0
/*
 * What the series must not slow down, measured inside a guest, and the loads
 * that the scenarios put on it.
 *
 * usage: mp-bench BENCH [OPTION]...
 *	faults [MB]		first touches of anonymous memory
 *	create DIR [FILES]	create and unlink empty files
 *	dropcaches DIR [N]	drop_caches with N negative dentries below DIR
 *	lruwalk DIR [N]		a scan of N dentries below DIR, each of which was used
 *				and is passed over: a walk of a list_lru on one
 *				node, for one memcg
 *	memcgs CGROUP DIR [N]	memory.reclaim of CGROUP with N children, each
 *				with page cache and dentries of its own
 *	pages CGROUP DIR [MB]	CGROUP's memory.max set to a half of the page
 *				cache in it: reclaim that reports its pressure
 *	anon CGROUP [MB]	the same with a half of the anonymous memory in it;
 *				there must be swap for that much
 *	neighbours CGROUP DIR	how long a task in one cgroup reads, at its limit and
 *				when the machine is short of memory, beside an
 *				application that has registered a user-space
 *				shrinker, if the kernel has it, and behaves well,
 *				badly, or not at all
 *	xattrs DIR SECONDS	(a load) one task a CPU makes and deletes entries of
 *				ext4's mbcache: extended attributes in a block
 *	extents FILE N		(a load) a file of N extents with holes between them
 *	read FILE MB [FROM]	(a load) read so much of a file, from FROM MB on
 *
 * A bench prints "figure NAME VALUE UNIT" once a repetition. Under QEMU's
 * "-icount shift=0" a nanosecond of CLOCK_MONOTONIC is an instruction.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define REPEAT 7
#define PAGE 4096UL

static void die(const char *what)
{
	fprintf(stderr, "mp-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void figure(const char *name, double value, const char *unit)
{
	printf("figure %s %.1f %s\n", name, value, unit);
	fflush(stdout);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* A path in a static buffer, good until the next call. */
static const char *path(const char *format, ...)
{
	static char buf[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	return buf;
}

/* Let deferred frees and writeback end before something is timed. */
static void settle(void)
{
	sync();
	usleep(200000);
}

/* Memory of the task and the children that it has yet to make. */
static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void touch(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE)
		p[i] = 1;
}

static void faults(long mb)
{
	const size_t len = mb << 20;

	for (int run = 0; run < REPEAT; run++) {
		double a = now();
		char *p = map(len, MAP_PRIVATE);

		touch(p, len);
		munmap(p, len);
		figure("page-fault", (now() - a) / (len / PAGE), "each");
	}
}

static void create(const char *dir, int files)
{
	for (int run = 0; run < REPEAT; run++) {
		double a;

		settle();
		a = now();
		for (int i = 0; i < files; i++) {
			int fd = open(path("%s/f%d", dir, i),
				      O_CREAT | O_RDWR, 0600);

			if (fd < 0)
				die(dir);
			close(fd);
		}
		for (int i = 0; i < files; i++)
			unlink(path("%s/f%d", dir, i));
		figure("create+unlink", (now() - a) / files, "each");
	}
}

/* Names that are not there: each leaves a negative dentry, and nothing else. */
static void dentries(const char *dir, int first, int n)
{
	struct stat st;

	for (int i = first; i < first + n; i++)
		stat(path("%s/no%d", dir, i), &st);
}

static void dropcaches(const char *dir, int n)
{
	for (int run = 0; run <= REPEAT; run++) {
		double a;

		dentries(dir, 0, n);
		settle();
		a = now();
		put("/proc/sys/vm/drop_caches", "2");
		/* The first also drops what the boot left behind. */
		if (run)
			figure("drop_caches", now() - a, "all");
	}
}

/* The file that scans the shrinker of ext4, and the root cgroup's number in it. */
static const char *ext4_shrinker(unsigned long *root)
{
	static char scan[512];
	glob_t found;
	FILE *f;

	if (glob("/sys/kernel/debug/shrinker/sb-ext4*", 0, NULL, &found))
		die("no shrinker of ext4 in debugfs");
	snprintf(scan, sizeof(scan), "%s/scan", found.gl_pathv[0]);
	f = fopen(path("%s/count", found.gl_pathv[0]), "r");
	if (!f || fscanf(f, "%lu", root) != 1)
		die(found.gl_pathv[0]);
	fclose(f);
	globfree(&found);
	return scan;
}

static void lruwalk(const char *dir, int n)
{
	for (int run = 0; run < REPEAT; run++) {
		unsigned long root;
		const char *scan;
		char text[64];
		double a;

		/* The first makes them, the second uses them. */
		dentries(dir, 0, n);
		dentries(dir, 0, n);
		scan = ext4_shrinker(&root);
		snprintf(text, sizeof(text), "%lu 0 %d", root, n);
		settle();
		a = now();
		put(scan, text);
		figure("lru-walk", (now() - a) / n, "each");
		put("/proc/sys/vm/drop_caches", "2");
	}
}

/* A file with nothing in it but its size. */
static void sparse_file(const char *file, off_t len)
{
	int fd = open(file, O_CREAT | O_RDWR, 0600);

	if (fd < 0 || ftruncate(fd, len))
		die(file);
	close(fd);
}

static void read_pages(const char *file, off_t from, size_t len)
{
	static char buf[16 * PAGE];
	int fd = open(file, O_RDONLY);

	if (fd < 0)
		die(file);
	for (size_t done = 0; done < len; done += sizeof(buf))
		if (pread(fd, buf, sizeof(buf), from + done) <= 0)
			break;
	close(fd);
}

/* A task in the cgroup: true in the child, which has to end. */
static bool fork_in(const char *cgroup, pid_t *pid)
{
	*pid = fork();
	if (*pid < 0)
		die("fork");
	if (!*pid)
		put(path("%s/cgroup.procs", cgroup), "0");
	return !*pid;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || status)
		die("a task failed");
}

/* Charge 64 pages of a file and 100 dentries to one child of the cgroup. */
static void fill_memcg(const char *cgroup, const char *dir, int i)
{
	const size_t len = 64 * PAGE;
	char child[4096];
	pid_t pid;

	snprintf(child, sizeof(child), "%s/c%d", cgroup, i);
	if (fork_in(child, &pid)) {
		read_pages(path("%s/sparse", dir), i * len, len);
		dentries(dir, i * 100, 100);
		_exit(0);
	}
	wait_for(pid);
}

/* In the cgroups below it: the controller that this is about, if the kernel has it, too. */
static void enable(const char *cgroup)
{
	put(path("%s/cgroup.subtree_control", cgroup), "+memory");
	if (!access(path("%s/mempressure.stat", cgroup), F_OK))
		put(path("%s/cgroup.subtree_control", cgroup), "+mempressure");
}

static void memcgs(const char *cgroup, const char *dir, int n)
{
	const size_t bytes = n * 16 * PAGE;
	char text[32];

	mkdir(cgroup, 0755);
	enable(cgroup);
	for (int i = 0; i < n; i++)
		mkdir(path("%s/c%d", cgroup, i), 0755);
	sparse_file(path("%s/sparse", dir), n * 64 * PAGE);
	snprintf(text, sizeof(text), "%zu", bytes);
	for (int run = 0; run < REPEAT; run++) {
		double a;

		put("/proc/sys/vm/drop_caches", "3");
		for (int i = 0; i < n; i++)
			fill_memcg(cgroup, dir, i);
		settle();
		a = now();
		put(path("%s/memory.reclaim", cgroup), text);
		figure("memcg-reclaim", (now() - a) / (bytes / PAGE), "page");
	}
	for (int i = 0; i < n; i++)
		rmdir(path("%s/c%d", cgroup, i));
	rmdir(cgroup);
}

/* The number of a "KEY NUMBER" line, not the first, of an open file. */
static double fd_key(int fd, const char *key)
{
	char text[16384], line[64], *at;
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		die(key);
	text[len] = '\0';
	snprintf(line, sizeof(line), "\n%s ", key);
	at = strstr(text, line);
	if (!at)
		die(key);
	return atof(at + strlen(line));
}

static double file_key(const char *file, const char *key)
{
	int fd = open(file, O_RDONLY);
	double value;

	if (fd < 0)
		die(file);
	value = fd_key(fd, key);
	close(fd);
	return value;
}

/* How many pages of the cgroup were reclaimed; its charges are settled in batches */
static double reclaimed(const char *cgroup)
{
	return file_key(path("%s/memory.stat", cgroup), "pgsteal");
}

static void pages(const char *cgroup, const char *dir, long mb)
{
	const size_t len = mb << 20;
	char text[32];

	mkdir(cgroup, 0755);
	sparse_file(path("%s/sparse", dir), len);
	for (int run = 0; run < REPEAT; run++) {
		double a, n;
		pid_t pid;

		put("/proc/sys/vm/drop_caches", "3");
		put(path("%s/memory.max", cgroup), "max");
		if (fork_in(cgroup, &pid)) {
			read_pages(path("%s/sparse", dir), 0, len);
			_exit(0);
		}
		wait_for(pid);
		settle();
		n = reclaimed(cgroup);
		snprintf(text, sizeof(text), "%zu", len / 2);
		a = now();
		put(path("%s/memory.max", cgroup), text);
		a = now() - a;
		n = reclaimed(cgroup) - n;
		if (n < len / 4 / PAGE)
			die("pages: nothing is reclaimed");
		figure("page-reclaim", a / n, "page");
	}
	rmdir(cgroup);
}

static void say_ready(int ready)
{
	if (write(ready, "", 1) != 1)
		die("write");
	close(ready);
}

/* Runs a task in the cgroup, which says when it is ready, until it is killed. */
static pid_t start(const char *cgroup, void (*task)(int ready, const void *arg),
		   const void *arg)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		die("pipe");
	if (fork_in(cgroup, &pid)) {
		task(ready[1], arg);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		die("a task does not start");
	close(ready[0]);
	return pid;
}

static void hold_anon(int ready, const void *len)
{
	const size_t bytes = *(const size_t *)len;

	touch(map(bytes, MAP_PRIVATE), bytes);
	say_ready(ready);
}

static void anon(const char *cgroup, long mb)
{
	const size_t len = mb << 20;
	char text[32];

	mkdir(cgroup, 0755);
	snprintf(text, sizeof(text), "%zu", len / 2);
	for (int run = 0; run < REPEAT; run++) {
		double a, n;
		pid_t pid;

		put(path("%s/memory.max", cgroup), "max");
		pid = start(cgroup, hold_anon, &len);
		settle();
		n = reclaimed(cgroup);
		a = now();
		put(path("%s/memory.max", cgroup), text);
		a = now() - a;
		n = reclaimed(cgroup) - n;
		if (n < len / 4 / PAGE)
			die("anon: nothing is reclaimed");
		figure("anon-reclaim", a / n, "page");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	rmdir(cgroup);
}

/*
 * The neighbours of an application that keeps a cache, offers it in chunks if
 * the kernel has user-space shrinkers, and behaves in one of several ways. What
 * it does is paced by time and the same on all kernels, save for its answers.
 * Beside it in its cgroup, whose limit they have reached, a task reads a file,
 * so that it is asked all the time. Both are nice: who is measured does not wait
 * for the CPU because of them, but for all else that they hold.
 */
enum way { ALONE, ANSWERS, SILENT, LIES, LATE, DIES, FROZEN, NR_WAYS };

static const char * const ways[] = {
	[ALONE]		= "alone",	/* there is nobody else */
	[ANSWERS]	= "answers",	/* frees what it is asked for */
	[SILENT]	= "silent",	/* does not look whether it is asked */
	[LIES]		= "lies",	/* offers without end, "frees" and frees nothing */
	[LATE]		= "late",	/* answers after LATE_TICKS */
	[DIES]		= "dies",	/* is killed, and started again, every LIFE_TICKS */
	[FROZEN]	= "frozen",	/* is, once it has offered its cache */
};

#define CHUNK		(16 * PAGE)
#define CHUNKS		512UL		/* in the cache */
#define STEP		16		/* chunks a tick, until there are so many */
#define OTHER_MAX	(48UL << 20)	/* for 32 MB of cache, and what else is read */

#define READ		(64 * PAGE)	/* is read at a time: by the other once a tick ... */
#define READS		4		/* ... by who is measured, and timed */
#define NEIGHBOUR_MAX	(32UL << 20)
#define CHURN_FILE	(256UL << 20)	/* more than is read of it */

#define TICK_NS		10000000L
#define OTHER_NS	(TICK_NS / 2)	/* so much later is the other's turn */
#define TICKS		300
#define LATE_TICKS	20
#define LIFE_TICKS	30

struct neighbours {
	char cgroup[256], other[300], neighbour[300];
	const char *dir;
	enum way way;
	double *took;			/* by each read, and of the CPU by all; shared */
};

/* Waits for the next tick, or for @after it. */
static void tick(long after)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_nsec += TICK_NS - (next.tv_nsec + TICK_NS - after) % TICK_NS;
	if (next.tv_nsec >= 1000000000L) {
		next.tv_nsec -= 1000000000L;
		next.tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
}

/* Says it to the kernel, if that is one to listen. */
static int tell(int fd, const char *format, unsigned long chunks)
{
	char text[32];
	int len = snprintf(text, sizeof(text), format, chunks);

	return fd < 0 || write(fd, text, len) == len ? 0 : -errno;
}

/* The most that the kernel takes: no more than fits into the address space. */
static void lie(int fd)
{
	if (fd < 0)
		return;
	if (tell(fd, "+%lu", 1UL << 60) != -EOVERFLOW)
		die("2^60 chunks");
	for (unsigned long chunks = 1UL << 59; chunks; chunks /= 2)
		tell(fd, "+%lu", chunks);
}

static void cache(int ready, const void *arg)
{
	const struct neighbours *n = arg;
	unsigned long cached = 0, asked;
	char *memory = map(CHUNKS * CHUNK, MAP_PRIVATE);
	int late = 0, fd;

	for (; cached < CHUNKS; cached += STEP) {
		tick(OTHER_NS);
		memset(memory + cached * CHUNK, 1, STEP * CHUNK);
	}

	/* Neither on the base, nor without the controller */
	fd = open(path("%s/mempressure.shrinker", n->other), O_RDWR);
	if (tell(fd, "chunk_size=%lu", CHUNK) || tell(fd, "+%lu", CHUNKS))
		die("mempressure.shrinker");
	if (n->way == LIES)
		lie(fd);
	say_ready(ready);

	for (;;) {
		tick(OTHER_NS);
		if (n->way == SILENT || n->way == DIES)
			continue;
		asked = fd < 0 ? 0 : fd_key(fd, "asked");
		if (n->way == LIES && asked) {
			tell(fd, "-%lu", asked);
			tell(fd, "+%lu", asked);
			continue;
		}
		if (asked && (n->way != LATE || ++late >= LATE_TICKS)) {
			asked = asked < cached ? asked : cached;
			cached -= asked;
			madvise(memory + cached * CHUNK, asked * CHUNK, MADV_DONTNEED);
			tell(fd, "-%lu", asked);
			late = 0;
		}
		if (cached < CHUNKS) {
			memset(memory + cached++ * CHUNK, 1, CHUNK);
			tell(fd, "+%lu", 1);
		}
	}
}

/* A file of which no more is read than is asked for. */
static int open_random(const char *file)
{
	int fd = open(file, O_RDONLY);

	if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		die(file);
	return fd;
}

static void read_next(int fd)
{
	static char buf[READ];

	if (read(fd, buf, READ) != READ)
		die("read");
}

static void application(int ready, const void *arg)
{
	const struct neighbours *n = arg;
	char cgroup[400];
	pid_t pid;

	setpriority(PRIO_PROCESS, 0, 19);
	pin(0);
	if (n->way != DIES)
		cache(ready, n);
	snprintf(cgroup, sizeof(cgroup), "%s/app", n->other);
	for (bool first = true;; first = false) {
		pid = start(cgroup, cache, n);
		if (first)
			say_ready(ready);
		usleep(LIFE_TICKS * (TICK_NS / 1000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void churn(int ready, const void *arg)
{
	const struct neighbours *n = arg;
	int fd = open_random(path("%s/churn", n->dir));

	setpriority(PRIO_PROCESS, 0, 19);
	pin(0);
	/* From here on it is at the limit */
	for (int i = 0; i < (int)(OTHER_MAX / READ); i++)
		read_next(fd);
	say_ready(ready);
	for (;;) {
		tick(OTHER_NS);
		read_next(fd);
	}
}

/* A cgroup with so much memory, or with no limit. */
static void make_limited(const char *cgroup, size_t max)
{
	char text[32] = "max";

	if (max)
		snprintf(text, sizeof(text), "%zu", max);
	mkdir(cgroup, 0755);
	put(path("%s/memory.max", cgroup), text);
}

/* Starts the application and what churns beside it. */
static void start_other(const struct neighbours *n)
{
	char cgroup[400];

	make_limited(n->other, OTHER_MAX);
	/* Without a memory controller of their own, they are charged to the one above */
	snprintf(cgroup, sizeof(cgroup), "%s/app", n->other);
	mkdir(cgroup, 0755);
	start(cgroup, application, n);
	if (n->way == FROZEN)
		put(path("%s/cgroup.freeze", cgroup), "1");
	snprintf(cgroup, sizeof(cgroup), "%s/churn", n->other);
	mkdir(cgroup, 0755);
	start(cgroup, churn, n);
}

/* Ends them, and shows what the kernel says of them: were they asked at all? */
static void end_other(const struct neighbours *n, const char *where)
{
	static const char * const keys[] = { "asked", "settled", "timed_out" };
	const char *stat = path("%s/mempressure.stat", n->other);
	int fd = open(stat, O_RDONLY);

	printf("# %s-%s:", where, ways[n->way]);
	printf(" reclaimed %.0f pages", file_key(path("%s/memory.stat", n->other), "pgsteal"));
	for (size_t i = 0; fd >= 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
		printf(", %s %.0f kB", keys[i], fd_key(fd, keys[i]) / 1024);
	printf("\n");
	if (fd >= 0 && !fd_key(fd, "asked"))
		die("nobody was asked");
	if (fd >= 0 && (n->way == SILENT || n->way == FROZEN) &&
	    !fd_key(fd, "timed_out"))
		die("no ask timed out");
	close(fd);

	if (waitpid(-1, NULL, WNOHANG))
		die("a task did not go on");
	put(path("%s/cgroup.kill", n->other), "1");
	while (wait(NULL) > 0)
		;
	rmdir(path("%s/app", n->other));
	rmdir(path("%s/churn", n->other));
	if (rmdir(n->other))
		die(n->other);
}

/* Reads what is not cached, a part of it each tick, and notes how long that takes. */
static void read_timed(const struct neighbours *n)
{
	int fd = open_random(path("%s/sparse", n->dir));

	for (int i = 0; i < TICKS * READS; i++) {
		double a;

		if (i % READS == 0)
			tick(0);
		a = now();
		read_next(fd);
		n->took[i] = now() - a;
	}
	n->took[TICKS * READS] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int later(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void neighbour_figure(const char *where, enum way way, const char *what,
			     double value, const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%s-%s", where, ways[way], what);
	figure(name, value, unit);
}

/* One way of the application, beside a neighbour at its limit of @max bytes or with none. */
static void neighbour(struct neighbours *n, const char *where, size_t max)
{
	const int all = TICKS * READS;
	const double pages = all * (READ / PAGE);
	const off_t cached = max ?: sysconf(_SC_PHYS_PAGES) * PAGE;
	const off_t size = cached + all * READ;
	int last = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	double scanned, reclaimed, sum = 0;
	char stat[400];
	pid_t pid;

	snprintf(stat, sizeof(stat), "%s/memory.stat", n->neighbour);
	make_limited(n->neighbour, max);
	sparse_file(path("%s/sparse", n->dir), size);
	if (fork_in(n->neighbour, &pid)) {
		pin(last);
		read_pages(path("%s/sparse", n->dir), size - cached, cached);
		_exit(0);
	}
	wait_for(pid);
	if (n->way != ALONE)
		start_other(n);

	scanned = file_key(stat, "pgscan");
	reclaimed = file_key(stat, "pgsteal");
	if (fork_in(n->neighbour, &pid)) {
		pin(last);
		read_timed(n);
		_exit(0);
	}
	wait_for(pid);
	scanned = file_key(stat, "pgscan") - scanned;
	reclaimed = file_key(stat, "pgsteal") - reclaimed;
	if (reclaimed < pages / 2)
		die("nothing is reclaimed");
	for (int i = 0; i < all; i++)
		sum += n->took[i];
	qsort(n->took, all, sizeof(*n->took), later);
	neighbour_figure(where, n->way, "mean", sum / all, "read");
	neighbour_figure(where, n->way, "p50", n->took[all / 2], "read");
	neighbour_figure(where, n->way, "p99", n->took[all * 99 / 100], "read");
	neighbour_figure(where, n->way, "cpu", n->took[all] / all, "read");
	neighbour_figure(where, n->way, "scanned", scanned / pages * 1000, "kilopage");

	printf("# %s-%s: longest %.0f\n", where, ways[n->way], n->took[all - 1]);
	if (n->way != ALONE)
		end_other(n, where);
	if (rmdir(n->neighbour))
		die(n->neighbour);
	put("/proc/sys/vm/drop_caches", "3");
}

static void neighbours(const char *cgroup, const char *dir)
{
	struct neighbours n = { .dir = dir };
	char parent[300];

	snprintf(n.cgroup, sizeof(n.cgroup), "%s", cgroup);
	snprintf(n.other, sizeof(n.other), "%s/other", n.cgroup);
	snprintf(n.neighbour, sizeof(n.neighbour), "%s/neighbour", n.cgroup);
	n.took = map((TICKS * READS + 1) * sizeof(*n.took), MAP_SHARED);
	/* Those that the application leaves behind are waited for here */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("prctl");
	sparse_file(path("%s/churn", dir), CHURN_FILE);
	mkdir(n.cgroup, 0755);
	snprintf(parent, sizeof(parent), "%s/..", n.cgroup);
	enable(parent);
	enable(n.cgroup);
	for (n.way = ALONE; n.way < NR_WAYS; n.way++)
		neighbour(&n, "limit", NEIGHBOUR_MAX);
	for (n.way = ALONE; n.way < NR_WAYS; n.way++)
		neighbour(&n, "machine", 0);
	rmdir(n.cgroup);
}

/*
 * Every second block is allocated, so that each is an extent of its own in
 * ext4's extent status tree, and the holes between them too. None is written
 * to: a delayed extent cannot be reclaimed.
 */
static void extents(const char *file, long n)
{
	int fd = open(file, O_CREAT | O_TRUNC | O_RDWR, 0600);

	if (fd < 0)
		die(file);
	for (long i = 0; i < n; i++)
		if (fallocate(fd, 0, 2 * i * PAGE, PAGE))
			die(file);
	close(fd);
}

/*
 * Eight files a CPU, whose attribute is too large for the inode and never the
 * same twice. A new value is a new block and a new entry in the cache, and the
 * old ones go.
 */
static void xattrs_on(const char *dir, int cpu, double end)
{
	char path[4096], value[600];
	int fd[8];

	pin(cpu);
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "%s/%d.%d", dir, cpu, i);
		fd[i] = open(path, O_CREAT | O_RDWR, 0600);
		if (fd[i] < 0)
			die(path);
	}
	memset(value, 'x', sizeof(value));
	for (long n = 0; now() < end; n++) {
		snprintf(value, 60, "%d %ld %.0f", cpu, n, end);
		if (fsetxattr(fd[n % 8], "user.x", value, sizeof(value), 0))
			die("fsetxattr");
	}
}

static void xattrs(const char *dir, long seconds)
{
	double end = now() + seconds * 1e9;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int status;

	for (int cpu = 0; cpu < cpus; cpu++) {
		if (!fork()) {
			xattrs_on(dir, cpu, end);
			_exit(0);
		}
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		if (wait(&status) < 0 || status)
			exit(1);
}

static long number(char **argv, int i, long otherwise)
{
	for (int j = 0; j <= i; j++)
		if (!argv[j])
			return otherwise;
	return atol(argv[i]);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "faults")) {
		faults(number(argv, 2, 64));
	} else if (!strcmp(what, "create") && argc > 2) {
		create(argv[2], number(argv, 3, 3000));
	} else if (!strcmp(what, "dropcaches") && argc > 2) {
		dropcaches(argv[2], number(argv, 3, 10000));
	} else if (!strcmp(what, "lruwalk") && argc > 2) {
		lruwalk(argv[2], number(argv, 3, 10000));
	} else if (!strcmp(what, "memcgs") && argc > 3) {
		memcgs(argv[2], argv[3], number(argv, 4, 100));
	} else if (!strcmp(what, "pages") && argc > 3) {
		pages(argv[2], argv[3], number(argv, 4, 32));
	} else if (!strcmp(what, "anon") && argc > 2) {
		anon(argv[2], number(argv, 3, 32));
	} else if (!strcmp(what, "neighbours") && argc > 3) {
		neighbours(argv[2], argv[3]);
	} else if (!strcmp(what, "xattrs") && argc > 3) {
		xattrs(argv[2], number(argv, 3, 1));
	} else if (!strcmp(what, "extents") && argc > 3) {
		extents(argv[2], number(argv, 3, 1000));
	} else if (!strcmp(what, "read") && argc > 3) {
		read_pages(argv[2], number(argv, 4, 0) << 20,
			   number(argv, 3, 1) << 20);
	} else {
		fprintf(stderr, "mp-bench: see the head of its source\n");
		return 2;
	}
	return 0;
}
