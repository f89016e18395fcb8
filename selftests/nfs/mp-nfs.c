// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel NFS server and its client need of user space for Kerberos, with
 * no Kerberos; and users that make the client use it.
 *
 * usage: mp-nfs gssd PIPEFS
 *	  mp-nfs users FILE FIRST COUNT
 *	gssd	makes up a security context for each user the client asks for, and
 *		gives each end its half, until it is killed. It prints "ready"
 *		when the client can ask. PIPEFS is where rpc_pipefs is mounted.
 *	users	opens and reads FILE as COUNT users in turn, from the uid FIRST on
 *
 * A context of Kerberos is a session key that both ends have. Who gave it to them,
 * and whether they asked a KDC, the kernel does not see: on the client rpc.gssd
 * writes it to a pipe, on the server rpc.svcgssd to a cache. Here it is one
 * program, so there is no exchange to be had, and a key need not be secret.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL "/proc/net/rpc/auth.rpcsec.context/channel"
#define LIFETIME 86400
#define WINDOW 128
#define ENCTYPE 18		/* aes256-cts-hmac-sha1-96 */
#define KEY_LEN 32
#define FLAG_INITIATOR 1
#define FLAG_SUBKEY 4
#define MAX_PIPES 64

static void die(const char *what)
{
	fprintf(stderr, "mp-nfs: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- messages to the kernel ------------------------------------------------ */

struct message {
	char data[1024];
	size_t len;
};

static void add(struct message *m, const void *data, size_t len)
{
	if (len > sizeof(m->data) - m->len) {
		errno = EMSGSIZE;
		die("message");
	}
	memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void add_u32(struct message *m, uint32_t value)
{
	add(m, &value, sizeof(value));
}

/* Bytes with their length before them */
static void add_object(struct message *m, const void *data, size_t len)
{
	add_u32(m, len);
	add(m, data, len);
}

static void add_text(struct message *m, const char *text)
{
	add(m, text, strlen(text));
}

static void add_hex(struct message *m, const void *data, size_t len)
{
	const unsigned char *byte = data;
	char hex[3];

	add_text(m, "\\x");
	while (len--) {
		snprintf(hex, sizeof(hex), "%02x", *byte++);
		add_text(m, hex);
	}
}

/* One end's half of a context, as gss_krb5_import_sec_context() reads it */
static void add_context(struct message *m, uint32_t flags, uint32_t uid)
{
	static const unsigned char key[KEY_LEN] = "the key of all, and no secret";
	uint64_t sequence = uid;

	add_u32(m, flags | FLAG_SUBKEY);
	add_u32(m, time(NULL) + LIFETIME);
	add(m, &sequence, sizeof(sequence));
	add_u32(m, ENCTYPE);
	add(m, key, sizeof(key));
}

/* ---- the daemon ------------------------------------------------------------ */

static int channel;
static uint32_t handle;		/* the last context's name on the wire */

static void tell_server(uint32_t uid)
{
	struct message m = { .len = 0 }, half = { .len = 0 };
	char text[64];

	add_hex(&m, &handle, sizeof(handle));
	/* until when; uid, gid and no more groups; the mechanism */
	snprintf(text, sizeof(text), " %lld %u %u 0 krb5 ",
		 (long long)time(NULL) + LIFETIME, uid, uid);
	add_text(&m, text);
	add_context(&half, 0, uid);
	add_hex(&m, half.data, half.len);
	snprintf(text, sizeof(text), " user%u@TEST\n", uid);
	add_text(&m, text);
	if (write(channel, m.data, m.len) != (ssize_t)m.len)
		die(CHANNEL);
}

static void tell_client(int pipe, uint32_t uid)
{
	struct message m = { .len = 0 }, half = { .len = 0 };

	add_u32(&m, uid);
	add_u32(&m, LIFETIME);
	add_u32(&m, WINDOW);
	add_object(&m, &handle, sizeof(handle));
	add_context(&half, FLAG_INITIATOR, uid);
	add_object(&m, half.data, half.len);
	/* ENOENT: whoever asked is gone */
	if (write(pipe, m.data, m.len) != (ssize_t)m.len && errno != ENOENT)
		die("downcall");
}

/* Someone asks for a context: "mech=krb5 uid=1000 ..." */
static void answer(int pipe)
{
	char text[1024], *at;
	ssize_t len = read(pipe, text, sizeof(text) - 1);
	uint32_t uid;

	if (len <= 0)
		return;
	text[len] = 0;
	at = strstr(text, "uid=");
	if (!at) {
		errno = EINVAL;
		die(text);
	}
	uid = strtoul(at + 4, NULL, 10);
	handle++;
	tell_server(uid);
	tell_client(pipe, uid);
}

static struct pollfd pipes[MAX_PIPES];
static char *names[MAX_PIPES];
static int nr_pipes;

static void open_pipe(const char *name)
{
	int i, fd;

	for (i = 0; i < nr_pipes; i++)
		if (!strcmp(names[i], name))
			return;
	fd = open(name, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return;		/* its client has gone meanwhile */
	if (nr_pipes == MAX_PIPES) {
		errno = ENFILE;
		die("pipes");
	}
	names[nr_pipes] = strdup(name);
	pipes[nr_pipes++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void open_pipes(const char *pipefs, const char *pattern)
{
	char path[4096];
	glob_t found;
	size_t i;

	snprintf(path, sizeof(path), "%s/%s", pipefs, pattern);
	if (glob(path, 0, NULL, &found) == 0)
		for (i = 0; i < found.gl_pathc; i++)
			open_pipe(found.gl_pathv[i]);
	globfree(&found);
}

/* A pipe whose client has gone */
static void drop_pipe(int i)
{
	close(pipes[i].fd);
	free(names[i]);
	nr_pipes--;
	names[i] = names[nr_pipes];
	pipes[i] = pipes[nr_pipes];
}

static __attribute__((noreturn)) void gssd(const char *pipefs)
{
	int i;

	channel = open(CHANNEL, O_WRONLY);
	if (channel < 0)
		die(CHANNEL);
	/* The client asks no one unless this pipe of nobody's is open */
	open_pipes(pipefs, "gssd/clnt*/gssd");
	if (nr_pipes == 0)
		die(pipefs);
	puts("ready");
	fflush(stdout);
	for (;;) {
		open_pipes(pipefs, "*/clnt*/gssd");
		/* Pipes come and go without a word */
		if (poll(pipes, nr_pipes, 100) < 0)
			die("poll");
		for (i = nr_pipes - 1; i >= 0; i--) {
			if (pipes[i].revents & POLLIN)
				answer(pipes[i].fd);
			if (access(names[i], F_OK) < 0)
				drop_pipe(i);
		}
	}
}

/* ---- users ----------------------------------------------------------------- */

static int users(const char *file, uid_t first, unsigned int count)
{
	unsigned int i;
	char byte;
	int fd;

	for (i = 0; i < count; i++) {
		setfsuid(first + i);
		fd = open(file, O_RDONLY);
		if (fd < 0 || read(fd, &byte, 1) != 1)
			die(file);
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "gssd"))
		gssd(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "users"))
		return users(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	fprintf(stderr, "usage: mp-nfs gssd PIPEFS | mp-nfs users FILE FIRST COUNT\n");
	return 2;
}
