// SPDX-License-Identifier: GPL-2.0
/*
 * Fills all of the memory, or of a cgroup's, with what waits for a disk that completes nothing.
 *
 * usage: mp-dead DISK HOLD_MB SECONDS [CGROUP]
 *
 * A device of dm-linear on the block device DISK is suspended, so that it keeps each request. Four
 * children write to it as fast as they may, one holds HOLD_MB of anonymous memory, and takes more
 * each second; all of them in the directory CGROUP, if there is one. As soon as the OOM killer has
 * killed one of them another one comes that holds HOLD_MB, and takes more. Ends when one was killed
 * again, or after SECONDS, and prints how long the first took to be killed, how often allocations
 * have waited for the disk meanwhile, the same for the second, how much was written until then, and
 * how much of that after the first was killed:
 *
 *	killed 0|1|2
 *	seconds SECONDS
 *	waits N
 *	seconds_again SECONDS
 *	waits_again N
 *	written PAGES
 *	written_again PAGES
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 4
#define BLOCK (64 << 10)
#define MB (1UL << 20)

static void die(const char *what)
{
	fprintf(stderr, "mp-dead: %s: %s\n", what, strerror(errno));
	exit(2);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(path);
	close(fd);
}

static void oom_score_adj(const char *value)
{
	set("/proc/self/oom_score_adj", value);
}

/* Of a file of "NAME VALUE" lines */
static long counter(const char *path, const char *wanted)
{
	char name[64];
	long value, found = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	while (fscanf(file, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, wanted))
			found = value;
	fclose(file);
	/* The base does not count how often is waited */
	return found;
}

/* ---- the disk -------------------------------------------------------------- */

struct request {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char parameters[64];
};

static int control;

/* One command for the device; returns its number */
static dev_t dm(unsigned long command, unsigned int flags, struct request *rq)
{
	struct request empty = {};

	if (!rq)
		rq = &empty;
	rq->head.version[0] = DM_VERSION_MAJOR;
	rq->head.data_size = sizeof(*rq);
	rq->head.data_start = sizeof(rq->head);
	rq->head.flags = flags;
	strcpy(rq->head.name, "mp-dead");
	if (ioctl(control, command, rq))
		die("device-mapper");
	return rq->head.dev;
}

/* Makes it, and opens it */
static int dm_open(const char *disk)
{
	struct request rq = { .head.target_count = 1 };
	uint64_t bytes;
	struct stat st;
	char path[64];
	dev_t dev;
	int fd;

	fd = open(disk, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || ioctl(fd, BLKGETSIZE64, &bytes))
		die(disk);
	close(fd);
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		die("/dev/mapper/control");
	dev = dm(DM_DEV_CREATE, 0, NULL);
	rq.target.length = bytes / 512;
	strcpy(rq.target.target_type, "linear");
	snprintf(rq.parameters, sizeof(rq.parameters), "%u:%u 0", major(st.st_rdev),
		 minor(st.st_rdev));
	dm(DM_TABLE_LOAD, 0, &rq);
	dm(DM_DEV_SUSPEND, 0, NULL);
	snprintf(path, sizeof(path), "/dev/dm-%u", minor(dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* ---- the load -------------------------------------------------------------- */

static void writer(int fd, int number)
{
	static char block[BLOCK];

	for (off_t at = number * 512 * MB;; at += BLOCK)
		if (pwrite(fd, block, BLOCK, at) < 0)
			pause();
}

static void holder(unsigned long mb)
{
	unsigned long bytes = (mb + 1024) * MB;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	for (unsigned long i = 0; i < bytes; i += 4096) {
		memory[i] = 1;
		/* The writers have had a second by then */
		if (i >= mb * MB && i % (10 * MB) == 0)
			sleep(1);
	}
	pause();
}

/* Forks number n of those who want memory, a writer or who holds HOLD_MB of it */
static pid_t start(int n, int fd, unsigned long hold_mb, const char *cgroup)
{
	char procs[256];
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	oom_score_adj("0");
	if (cgroup) {
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
		set(procs, "0");
	}
	if (n >= WRITERS)
		holder(hold_mb);
	writer(fd, n);
	return 0;
}

int main(int argc, char **argv)
{
	double begin, since, limit, seconds[2] = {};
	long written, written_again = 0, waits, waited[2] = {};
	int fd, n, status, killed = 0;
	char waits_in[256] = "/proc/vmstat";
	const char *cgroup = NULL;
	pid_t pids[WRITERS + 2];
	unsigned long hold_mb;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: mp-dead DISK HOLD_MB SECONDS [CGROUP]\n");
		return 2;
	}
	hold_mb = atol(argv[2]);
	limit = atof(argv[3]);
	if (argc == 5) {
		cgroup = argv[4];
		snprintf(waits_in, sizeof(waits_in), "%s/memory.stat", cgroup);
	}
	fd = dm_open(argv[1]);
	oom_score_adj("-1000");
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
	dm(DM_DEV_SUSPEND, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG | DM_NOFLUSH_FLAG, NULL);
	written = counter("/proc/vmstat", "nr_written");
	waits = counter(waits_in, "alloc_wait_writeback");
	begin = since = now();
	for (n = 0; n <= WRITERS; n++)
		pids[n] = start(n, fd, hold_mb, cgroup);
	do {
		/* Nothing that takes memory */
		usleep(20000);
		if (waitpid(-1, &status, WNOHANG) <= 0)
			continue;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			continue;
		seconds[killed] = now() - since;
		waited[killed] = counter(waits_in, "alloc_wait_writeback") - waits;
		since = now();
		waits += waited[killed];
		if (!killed++) {
			written_again = counter("/proc/vmstat", "nr_written");
			pids[n] = start(n, fd, hold_mb, cgroup);
			n++;
		}
	} while (killed < 2 && now() - begin < limit);
	while (n > 0)
		kill(pids[--n], SIGKILL);
	written_again = counter("/proc/vmstat", "nr_written") - written_again;
	written = counter("/proc/vmstat", "nr_written") - written;
	/* It lives again */
	dm(DM_DEV_SUSPEND, 0, NULL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(fd);
	dm(DM_DEV_REMOVE, 0, NULL);
	printf("killed %d\nseconds %.1f\nwaits %ld\nseconds_again %.1f\nwaits_again %ld\n"
	       "written %ld\nwritten_again %ld\n", killed, seconds[0], waited[0], seconds[1],
	       waited[1], written, written_again);
	return 0;
}
