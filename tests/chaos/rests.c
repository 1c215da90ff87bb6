/* Sleeps as the kernel does. libfaketime 0.9.10 answers EINVAL to whoever sleeps until a moment of the monotonic clock
 * while it leaves that clock alone, and Python's time.sleep() does nothing else.
 *
 *   cc -O2 -shared -fPIC -o rests rests.c && LD_PRELOAD="./rests libfaketime.so.1" PROGRAM
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
	return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
