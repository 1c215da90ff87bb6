/* A slower disk: fsync() and fdatasync() take 5 ms more.
 *
 *   cc -O2 -shared -fPIC -o slowdisk slowdisk.c && LD_PRELOAD=./slowdisk PROGRAM
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int later(const char *name, int fd) {
	struct timespec rest = {0, 5000000};
	while (nanosleep(&rest, &rest))
		;
	return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return later("fsync", fd); }

int fdatasync(int fd) { return later("fdatasync", fd); }
