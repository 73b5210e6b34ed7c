/* Lets one write fail: preloaded into a command, it counts the calls that change what lies below a
 * folder and makes the one with a given number fail, as a full, a broken or a read-only disk would.
 *
 *     cc -shared -fPIC -O2 -o failing_writes.so failing_writes.c -ldl
 *     LD_PRELOAD=./failing_writes.so WRITES_BELOW=/tmp/out WRITES_LOG=/tmp/calls python -m ...
 *
 * WRITES_BELOW   the folder, an absolute path without links; calls elsewhere are passed on unseen
 * WRITES_FAIL    which call fails, from 1; 0 for none
 * WRITES_ERRNO   what it fails with
 * WRITES_AFTER   1: as do all later ones that need room (ENOSPC), or all later ones (EROFS)
 * WRITES_LOG     gets a line "NUMBER CALL PATH" for each call, and a second word "failed" more where
 *                it failed
 *
 * A command that stands already is armed by `writes_arm`, which takes the same.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static int fail_at, fail_errno, fail_after, calls, log_to = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define NEXT(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

void writes_arm(const char *folder, int at, int error, int after, const char *log) {
    NEXT(int, open64, const char *, int, ...);
    snprintf(below, sizeof below, "%s", folder);
    fail_at = at, fail_errno = error, fail_after = after, calls = 0;
    log_to = real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *folder = getenv("WRITES_BELOW"), *log = getenv("WRITES_LOG");
    if (!folder || !log) return;
#define NUMBER(name) (getenv(name) ? atoi(getenv(name)) : 0)
    writes_arm(folder, NUMBER("WRITES_FAIL"), NUMBER("WRITES_ERRNO"), NUMBER("WRITES_AFTER"), log);
}

/* The path behind a descriptor, or of a name in a folder; "" where there is none. */
static void path_of(int folder, const char *name, char *path) {
    char link[64];
    ssize_t length = 0;
    path[0] = 0;
    if (!name || name[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(path, PATH_MAX)) path[0] = 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            length = readlink(link, path, PATH_MAX - 1);
            path[length > 0 ? length : 0] = 0;
        }
    }
    if (name) {
        size_t used = strlen(path);
        snprintf(path + used, PATH_MAX - used, "%s%s", name[0] == '/' ? "" : "/", name);
    }
}

/* Counts a call; says whether it is to fail, and sets errno then. */
static int fails(const char *call, int needs_room, int folder, const char *name) {
    char path[PATH_MAX], line[PATH_MAX + 64];
    size_t length = strlen(below);
    int failing, number, kept = errno;
    if (!length) return 0;
    path_of(folder, name, path);
    if (strncmp(path, below, length) || (path[length] && path[length] != '/')) {
        errno = kept;
        return 0;
    }
    NEXT(ssize_t, write, int, const void *, size_t);
    pthread_mutex_lock(&lock);
    number = ++calls;
    failing = fail_at && (number == fail_at ||
                          (fail_after && number > fail_at && (needs_room || fail_errno != ENOSPC)));
    snprintf(line, sizeof line, "%d %s %s%s\n", number, call, path, failing ? " failed" : "");
    if (real(log_to, line, strlen(line)) < 0) abort();
    pthread_mutex_unlock(&lock);
    errno = failing ? fail_errno : kept;
    return failing;
}

#define WRITING(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        MODE(flags, mode) \
        NEXT(int, name, const char *, int, ...); \
        if (WRITING(flags) && fails("open", 1, AT_FDCWD, path)) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        MODE(flags, mode) \
        NEXT(int, name, int, const char *, int, ...); \
        if (WRITING(flags) && fails("open", 1, folder, path)) return -1; \
        return real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define CREAT(name) \
    int name(const char *path, mode_t mode) { \
        NEXT(int, name, const char *, mode_t); \
        return fails("open", 1, AT_FDCWD, path) ? -1 : real(path, mode); \
    }
CREAT(creat)
CREAT(creat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        NEXT(FILE *, name, const char *, const char *); \
        if (strpbrk(mode, "wa+") && fails("open", 1, AT_FDCWD, path)) return NULL; \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* The calls below return `bad` where they fail; `what` says of which file they are. */
#define CALL(type, name, said, room, bad, folder, path, parameters, arguments, ...) \
    type name parameters { \
        NEXT(type, name, __VA_ARGS__); \
        return fails(said, room, folder, path) ? bad : real arguments; \
    }
#define BY_FD(type, name, said, bad, parameters, arguments, ...) \
    CALL(type, name, said, 1, bad, fd, NULL, parameters, arguments, __VA_ARGS__)

BY_FD(ssize_t, write, "write", -1, (int fd, const void *from, size_t count), (fd, from, count), int, const void *, size_t)
BY_FD(ssize_t, writev, "write", -1, (int fd, const struct iovec *from, int count), (fd, from, count), int, const struct iovec *, int)
BY_FD(ssize_t, pwrite, "write", -1, (int fd, const void *from, size_t count, off_t at), (fd, from, count, at), int, const void *, size_t, off_t)
BY_FD(ssize_t, pwrite64, "write", -1, (int fd, const void *from, size_t count, off64_t at), (fd, from, count, at), int, const void *, size_t, off64_t)
BY_FD(ssize_t, pwritev, "write", -1, (int fd, const struct iovec *from, int count, off_t at), (fd, from, count, at), int, const struct iovec *, int, off_t)
BY_FD(ssize_t, pwritev64, "write", -1, (int fd, const struct iovec *from, int count, off64_t at), (fd, from, count, at), int, const struct iovec *, int, off64_t)
BY_FD(ssize_t, sendfile, "write", -1, (int fd, int from, off_t *at, size_t count), (fd, from, at, count), int, int, off_t *, size_t)
BY_FD(ssize_t, sendfile64, "write", -1, (int fd, int from, off64_t *at, size_t count), (fd, from, at, count), int, int, off64_t *, size_t)
BY_FD(ssize_t, copy_file_range, "write", -1, (int from, off64_t *there, int fd, off64_t *here, size_t count, unsigned flags), (from, there, fd, here, count, flags), int, off64_t *, int, off64_t *, size_t, unsigned)
BY_FD(int, fsync, "fsync", -1, (int fd), (fd), int)
BY_FD(int, fdatasync, "fsync", -1, (int fd), (fd), int)
BY_FD(int, ftruncate, "truncate", -1, (int fd, off_t size), (fd, size), int, off_t)
BY_FD(int, ftruncate64, "truncate", -1, (int fd, off64_t size), (fd, size), int, off64_t)
BY_FD(int, fallocate, "allocate", -1, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), int, int, off_t, off_t)
BY_FD(int, fallocate64, "allocate", -1, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), int, int, off64_t, off64_t)

/* A stream writes inside the C library, where nothing can come between: its own calls fail. */
CALL(size_t, fwrite, "write", 1, 0, fileno(stream), NULL, (const void *from, size_t size, size_t count, FILE *stream), (from, size, count, stream), const void *, size_t, size_t, FILE *)
CALL(int, fflush, "write", 1, EOF, stream ? fileno(stream) : -1, NULL, (FILE *stream), (stream), FILE *)

#define BY_NAME(name, said, room) \
    CALL(int, name, said, room, -1, AT_FDCWD, path, (const char *path), (path), const char *)
BY_NAME(unlink, "unlink", 0)
BY_NAME(rmdir, "rmdir", 0)
CALL(int, unlinkat, flags & AT_REMOVEDIR ? "rmdir" : "unlink", 0, -1, folder, path, (int folder, const char *path, int flags), (folder, path, flags), int, const char *, int)
CALL(int, mkdir, "mkdir", 1, -1, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
CALL(int, mkdirat, "mkdir", 1, -1, folder, path, (int folder, const char *path, mode_t mode), (folder, path, mode), int, const char *, mode_t)
CALL(int, rename, "rename", 0, -1, AT_FDCWD, to, (const char *from, const char *to), (from, to), const char *, const char *)
CALL(int, renameat, "rename", 0, -1, there, to, (int here, const char *from, int there, const char *to), (here, from, there, to), int, const char *, int, const char *)
CALL(int, renameat2, "rename", 0, -1, there, to, (int here, const char *from, int there, const char *to, unsigned flags), (here, from, there, to, flags), int, const char *, int, const char *, unsigned)
CALL(int, link, "link", 1, -1, AT_FDCWD, to, (const char *from, const char *to), (from, to), const char *, const char *)
CALL(int, linkat, "link", 1, -1, there, to, (int here, const char *from, int there, const char *to, int flags), (here, from, there, to, flags), int, const char *, int, const char *, int)
CALL(int, symlink, "link", 1, -1, AT_FDCWD, to, (const char *from, const char *to), (from, to), const char *, const char *)
CALL(int, chmod, "chmod", 0, -1, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
CALL(int, fchmod, "chmod", 0, -1, fd, NULL, (int fd, mode_t mode), (fd, mode), int, mode_t)
