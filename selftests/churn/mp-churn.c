// SPDX-License-Identifier: GPL-2.0
/*
 * A load for the scenario churn: cgroups come, fill the lists of dentries and
 * inodes, and go, while others walk these lists and add to them.
 *
 * usage: mp-churn CGROUP DIR LISTS SECONDS
 *	CGROUP	a cgroup whose children have the memory controller
 *	DIR	a directory of the file system
 *	LISTS	the directory of its shrinker in debugfs
 *
 * Prints "cgroups N walks N" at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHURNERS 2
#define WALKERS 4
#define FILES 100

static const char *cgroup, *dir, *lists;
static time_t until;
static long *done;		/* of each task, shared */

static void die(const char *what)
{
	fprintf(stderr, "mp-churn: %s: %s\n", what, strerror(errno));
	exit(1);
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void name(char *buf, size_t len, int task, const char *what, int i)
{
	snprintf(buf, len, "%s/%d/%s%d", dir, task, what, i);
}

/* What is made by who is in the cgroup is charged to it. */
static void fill(const char *group, int task)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	put(path, "0");
	for (int i = 0; i < FILES; i++) {
		name(path, sizeof(path), task, "file", i);
		fd = open(path, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			die(path);
		close(fd);
		name(path, sizeof(path), task, "none", i);
		if (!access(path, F_OK))
			die(path);
	}
}

static void empty(int task)
{
	char path[4096];

	for (int i = 0; i < FILES; i++) {
		name(path, sizeof(path), task, "file", i);
		if (unlink(path))
			die(path);
	}
}

/* Every second cgroup goes before the files that it made do. */
static void churner(int task)
{
	char group[1024], path[4096];
	int status, tries;

	snprintf(path, sizeof(path), "%s/%d", dir, task);
	if (mkdir(path, 0700))
		die(path);
	while (now() < until) {
		snprintf(group, sizeof(group), "%s/%d.%ld", cgroup, task, done[task]);
		if (mkdir(group, 0755))
			die(group);
		if (!fork()) {
			fill(group, task);
			_exit(0);
		}
		if (wait(&status) < 0 || status)
			die("a task of a cgroup failed");
		if (done[task] % 2)
			empty(task);
		/* A task leaves its cgroup a little after it was waited for. */
		for (tries = 0; rmdir(group); tries++) {
			if (errno != EBUSY || tries == 10000)
				die(group);
			usleep(1000);
		}
		if (done[task] % 2 == 0)
			empty(task);
		done[task]++;
	}
	if (rmdir(path))
		die(path);
}

/* One node's lists of each cgroup that there is; one that just went is none. */
static void walk(int task, int nodes)
{
	char line[4096], path[4096], what[64];
	unsigned long ino;
	FILE *count;
	int fd;

	snprintf(path, sizeof(path), "%s/scan", lists);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		die(path);
	snprintf(path, sizeof(path), "%s/count", lists);
	count = fopen(path, "r");
	if (!count)
		die(path);
	while (fgets(line, sizeof(line), count)) {
		if (sscanf(line, "%lu", &ino) != 1)
			continue;
		snprintf(what, sizeof(what), "%lu %d 20\n", ino, task % nodes);
		if (write(fd, what, strlen(what)) >= 0)
			done[task]++;
		else if (errno != ENOENT)
			die("scan");
	}
	fclose(count);
	close(fd);
}

static void walker(int task, int nodes)
{
	char path[4096];

	while (now() < until) {
		walk(task, nodes);
		for (int i = 0; i < FILES; i++) {
			name(path, sizeof(path), i % CHURNERS, i & 2 ? "file" : "none",
			     rand() % FILES);
			access(path, F_OK);
		}
	}
}

int main(int argc, char **argv)
{
	long cgroups = 0, walks = 0;
	int status, failed = 0, nodes = 0;

	if (argc != 5) {
		fprintf(stderr, "mp-churn: see the head of its source\n");
		return 2;
	}
	cgroup = argv[1];
	dir = argv[2];
	lists = argv[3];
	until = now() + atol(argv[4]);
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		die("mmap");
	while (nodes < 1024) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", nodes);
		if (access(path, F_OK))
			break;
		nodes++;
	}
	for (int task = 0; task < CHURNERS + WALKERS; task++) {
		if (fork())
			continue;
		if (task < CHURNERS)
			churner(task);
		else
			walker(task, nodes ? nodes : 1);
		_exit(0);
	}
	for (int task = 0; task < CHURNERS + WALKERS; task++)
		if (wait(&status) < 0 || status)
			failed = 1;
	for (int task = 0; task < CHURNERS + WALKERS; task++)
		*(task < CHURNERS ? &cgroups : &walks) += done[task];
	printf("cgroups %ld walks %ld\n", cgroups, walks);
	return failed;
}
