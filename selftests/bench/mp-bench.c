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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
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

static void faults(long mb)
{
	const size_t len = mb << 20;

	for (int run = 0; run < REPEAT; run++) {
		double a = now();
		char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			die("mmap");
		for (size_t i = 0; i < len; i += PAGE)
			p[i] = 1;
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

/* Charge 64 pages of a file and 100 dentries to one child of the cgroup. */
static void fill_memcg(const char *cgroup, const char *dir, int i)
{
	const size_t len = 64 * PAGE;
	int status;

	if (!fork()) {
		put(path("%s/c%d/cgroup.procs", cgroup, i), "0");
		read_pages(path("%s/sparse", dir), i * len, len);
		dentries(dir, i * 100, 100);
		_exit(0);
	}
	if (wait(&status) < 0 || status)
		die("fill_memcg");
}

static void memcgs(const char *cgroup, const char *dir, int n)
{
	const size_t bytes = n * 16 * PAGE;
	char text[32];
	int fd;

	mkdir(cgroup, 0755);
	put(path("%s/cgroup.subtree_control", cgroup), "+memory");
	for (int i = 0; i < n; i++)
		mkdir(path("%s/c%d", cgroup, i), 0755);
	fd = open(path("%s/sparse", dir), O_CREAT | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, n * 64 * PAGE))
		die(dir);
	close(fd);
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

static double read_number(const char *file)
{
	FILE *f = fopen(file, "r");
	double number;

	if (!f || fscanf(f, "%lf", &number) != 1)
		die(file);
	fclose(f);
	return number;
}

static void pages(const char *cgroup, const char *dir, long mb)
{
	const size_t len = mb << 20;
	char text[32];
	int fd;

	mkdir(cgroup, 0755);
	fd = open(path("%s/sparse", dir), O_CREAT | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, len))
		die(dir);
	close(fd);
	for (int run = 0; run < REPEAT; run++) {
		double a, before, after;
		int status;

		put("/proc/sys/vm/drop_caches", "3");
		put(path("%s/memory.max", cgroup), "max");
		if (!fork()) {
			put(path("%s/cgroup.procs", cgroup), "0");
			read_pages(path("%s/sparse", dir), 0, len);
			_exit(0);
		}
		if (wait(&status) < 0 || status)
			die("pages");
		settle();
		before = read_number(path("%s/memory.current", cgroup));
		snprintf(text, sizeof(text), "%zu", len / 2);
		a = now();
		put(path("%s/memory.max", cgroup), text);
		a = now() - a;
		after = read_number(path("%s/memory.current", cgroup));
		if (before - after < len / 4)
			die("pages: nothing is reclaimed");
		figure("page-reclaim", a / ((before - after) / PAGE), "page");
	}
	rmdir(cgroup);
}

/* Touches so much memory in the cgroup, says so, and waits to be killed. */
static pid_t hold_anon(const char *cgroup, size_t len)
{
	int ready[2];
	char *p, c;
	pid_t pid;

	if (pipe(ready) || (pid = fork()) < 0)
		die("hold_anon");
	if (!pid) {
		put(path("%s/cgroup.procs", cgroup), "0");
		p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			die("mmap");
		for (size_t i = 0; i < len; i += PAGE)
			p[i] = 1;
		if (write(ready[1], "", 1) != 1)
			die("write");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		die("hold_anon");
	close(ready[0]);
	return pid;
}

static void anon(const char *cgroup, long mb)
{
	const size_t len = mb << 20;
	char text[32];

	mkdir(cgroup, 0755);
	snprintf(text, sizeof(text), "%zu", len / 2);
	for (int run = 0; run < REPEAT; run++) {
		double a, before, after;
		pid_t pid;

		put(path("%s/memory.max", cgroup), "max");
		pid = hold_anon(cgroup, len);
		settle();
		before = read_number(path("%s/memory.current", cgroup));
		a = now();
		put(path("%s/memory.max", cgroup), text);
		a = now() - a;
		after = read_number(path("%s/memory.current", cgroup));
		if (before - after < len / 4)
			die("anon: nothing is reclaimed");
		figure("anon-reclaim", a / ((before - after) / PAGE), "page");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	rmdir(cgroup);
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
	cpu_set_t set;
	int fd[8];

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
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
