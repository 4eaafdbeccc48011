/* Makes one system call of a process fail: loaded before the C library, told what to do by the
 * sweep (sweep.py). Only calls on files below one folder count.
 *
 * cc -shared -fPIC -O1 -o shim.so shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { NONE, FAIL_EIO, FAIL_ENOSPC, SHORT, KILL, FULL, INTERRUPT, AGAIN };
enum kind { WRITES, MAKES, OTHER };

static char root[PATH_MAX];
static size_t root_size;
static long target = -1, count;
static int mode;

/* Called by the sweep in the process that is to fail; a target of -1 only counts. */
void faults_arm(const char *folder, long at, int how)
{
    snprintf(root, sizeof root, "%s/", folder);
    root_size = strlen(root);
    target = at;
    mode = how;
    count = 0;
}

long faults_disarm(void)
{
    root_size = 0;
    return count;
}

static int below(const char *path)
{
    return root_size && strncmp(path, root, root_size) == 0;
}

static int handle_path(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 2);
    if (size < 0)
        return 0;
    path[size] = 0;
    return 1;
}

static int handle_below(int fd)
{
    char path[PATH_MAX];
    if (!root_size || !handle_path(fd, path))
        return 0;
    strcat(path, "/");
    return below(path);
}

static int name_below(int fd, const char *name)
{
    char path[PATH_MAX];
    if (!root_size || !name)
        return 0;
    if (name[0] == '/')
        return below(name);
    if (fd == AT_FDCWD)
        return 0;
    if (!handle_path(fd, path))
        return 0;
    strcat(path, "/");
    return below(path);
}

/* Counts a call; returns 1 where it has to fail, with errno set. */
static int fails(enum kind kind)
{
    long here = count++;
    if (target < 0 || here < target)
        return 0;
    if (mode == FULL && kind != OTHER) {
        errno = ENOSPC;
        return 1;
    }
    if (here != target)
        return 0;
    switch (mode) {
    case FAIL_EIO: errno = EIO; return 1;
    case FAIL_ENOSPC: errno = ENOSPC; return 1;
    case KILL: raise(SIGKILL); return 1;
    case AGAIN: if (kind == WRITES) { errno = EINTR; return 1; } return 0;
    default: return 0;
    }
}

static int is_target(enum mode wanted)
{
    return target >= 0 && count - 1 == target && mode == (int)wanted;
}

static void after(void)
{
    if (is_target(INTERRUPT)) {
        int kept = errno;
        raise(SIGINT);
        errno = kept;
    }
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!handle_below(fd))
        return real(fd, data, size);
    if (fails(WRITES))
        return -1;
    if (is_target(SHORT) && size > 1)
        size /= 2;
    ssize_t done = real(fd, data, size);
    after();
    return done;
}

#define POSITIONED(name) \
ssize_t name(int fd, const void *data, size_t size, off_t at) \
{ \
    REAL(ssize_t, #name, int, const void *, size_t, off_t); \
    if (handle_below(fd)) { \
        if (fails(WRITES)) return -1; \
        if (is_target(SHORT) && size > 1) size /= 2; \
    } \
    return real(fd, data, size, at); \
}
POSITIONED(pwrite)
POSITIONED(pwrite64)

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (handle_below(fd) && fails(WRITES))
        return -1;
    return real(fd, parts, number);
}

#define ON_HANDLE(name, kind) \
int name(int fd) \
{ \
    REAL(int, #name, int); \
    if (!handle_below(fd)) return real(fd); \
    if (fails(kind)) return -1; \
    int result = real(fd); \
    after(); \
    return result; \
}
ON_HANDLE(fsync, WRITES)
ON_HANDLE(fdatasync, WRITES)

int close(int fd)
{
    REAL(int, "close", int);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || !handle_below(fd))
        return real(fd);
    int failed = fails(OTHER), number = errno;
    int result = real(fd);
    if (failed) {
        errno = number;
        return -1;
    }
    after();
    return result;
}

/* Copies within the system: as write, to the handle that takes the bytes. */
#define SENT(name) \
ssize_t name(int to, int from, off_t *at, size_t size) \
{ \
    REAL(ssize_t, #name, int, int, off_t *, size_t); \
    if (!handle_below(to)) return real(to, from, at, size); \
    if (fails(WRITES)) return -1; \
    if (is_target(SHORT) && size > 1) size /= 2; \
    ssize_t done = real(to, from, at, size); \
    after(); \
    return done; \
}
SENT(sendfile)
SENT(sendfile64)

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *start, size_t size, unsigned flags)
{
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    if (!handle_below(to))
        return real(from, at, to, start, size, flags);
    if (fails(WRITES))
        return -1;
    if (is_target(SHORT) && size > 1)
        size /= 2;
    ssize_t done = real(from, at, to, start, size, flags);
    after();
    return done;
}

/* Says what is wrong by its result, not by errno. */
#define ALLOCATED(name) \
int name(int fd, off_t start, off_t size) \
{ \
    REAL(int, #name, int, off_t, off_t); \
    if (handle_below(fd) && fails(WRITES)) return errno; \
    return real(fd, start, size); \
}
ALLOCATED(posix_fallocate)
ALLOCATED(posix_fallocate64)

#define CUT(name) \
int name(int fd, off_t size) \
{ \
    REAL(int, #name, int, off_t); \
    if (handle_below(fd) && fails(OTHER)) return -1; \
    return real(fd, size); \
}
CUT(ftruncate)
CUT(ftruncate64)

#define TWO(name) \
int name(const char *a, const char *b) \
{ \
    REAL(int, #name, const char *, const char *); \
    if (!name_below(AT_FDCWD, b)) return real(a, b); \
    if (fails(OTHER)) return -1; \
    int result = real(a, b); \
    after(); \
    return result; \
}
TWO(rename)
TWO(link)
TWO(symlink)

#define BELOW(name, types, declared, passed) \
int name declared \
{ \
    static int (*real) types; \
    if (!real) real = (int (*) types)dlsym(RTLD_NEXT, #name); \
    if (!name_below(to, b)) return real passed; \
    if (fails(OTHER)) return -1; \
    int result = real passed; \
    after(); \
    return result; \
}
BELOW(symlinkat, (const char *, int, const char *), (const char *a, int to, const char *b), (a, to, b))
BELOW(renameat, (int, const char *, int, const char *),
      (int from, const char *a, int to, const char *b), (from, a, to, b))
BELOW(linkat, (int, const char *, int, const char *, int),
      (int from, const char *a, int to, const char *b, int flags), (from, a, to, b, flags))
BELOW(renameat2, (int, const char *, int, const char *, unsigned),
      (int from, const char *a, int to, const char *b, unsigned flags), (from, a, to, b, flags))

#define ONE(name) \
int name(const char *path) \
{ \
    REAL(int, #name, const char *); \
    if (!name_below(AT_FDCWD, path)) return real(path); \
    if (fails(OTHER)) return -1; \
    int result = real(path); \
    after(); \
    return result; \
}
ONE(unlink)
ONE(rmdir)

int unlinkat(int fd, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    if (!name_below(fd, path))
        return real(fd, path, flags);
    if (fails(OTHER))
        return -1;
    int result = real(fd, path, flags);
    after();
    return result;
}

int mkdir(const char *path, mode_t rights)
{
    REAL(int, "mkdir", const char *, mode_t);
    if (!name_below(AT_FDCWD, path))
        return real(path, rights);
    return fails(MAKES) ? -1 : real(path, rights);
}

int mkdirat(int fd, const char *path, mode_t rights)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    if (!name_below(fd, path))
        return real(fd, path, rights);
    return fails(MAKES) ? -1 : real(fd, path, rights);
}

#define OPEN(name) \
int name(const char *path, int flags, ...) \
{ \
    REAL(int, #name, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t rights = va_arg(rest, mode_t); \
    va_end(rest); \
    if ((flags & O_CREAT) && name_below(AT_FDCWD, path) && fails(MAKES)) return -1; \
    return real(path, flags, rights); \
}
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
int name(int fd, const char *path, int flags, ...) \
{ \
    REAL(int, #name, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t rights = va_arg(rest, mode_t); \
    va_end(rest); \
    if ((flags & O_CREAT) && name_below(fd, path) && fails(MAKES)) return -1; \
    return real(fd, path, flags, rights); \
}
OPENAT(openat)
OPENAT(openat64)
