/* Stands between a program and the C library, and refuses calls as some file systems do.
 *
 * REFUSE=call:errno[:skip],...  which calls fail with which errno, after so many that succeed.
 * REFUSE_BELOW=/folder          only what lies below this folder is refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long written;

/* Return the errno that a call is to fail with, or 0; `amount` counts towards what succeeds. */
static int refused(const char *call, long amount, long *counted) {
    const char *rule = getenv("REFUSE");
    size_t length = strlen(call);
    while (rule && *rule) {
        if (strncmp(rule, call, length) == 0 && rule[length] == ':') {
            char *end;
            long number = strtol(rule + length + 1, &end, 10);
            long skip = *end == ':' ? strtol(end + 1, NULL, 10) : 0;
            *counted += amount;
            return *counted > skip ? (int)number : 0;
        }
        rule = strchr(rule, ',');
        rule = rule ? rule + 1 : NULL;
    }
    return 0;
}

static int below(const char *path) {
    const char *folder = getenv("REFUSE_BELOW");
    char whole[PATH_MAX * 2];
    if (!folder || !path) return 0;
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int below_descriptor(int descriptor) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int is_folder(int descriptor) {
    struct stat state;
    return fstat(descriptor, &state) == 0 && S_ISDIR(state.st_mode);
}

static int is_file(int descriptor) {
    struct stat state;
    return fstat(descriptor, &state) == 0 && S_ISREG(state.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE_IF(condition, call)                            \
    do {                                                      \
        static long counted;                                  \
        int why = (condition) ? refused(call, 1, &counted) : 0; \
        if (why) {                                            \
            errno = why;                                      \
            return -1;                                        \
        }                                                     \
    } while (0)

int flock(int descriptor, int operation);
int flock(int descriptor, int operation) {
    REFUSE_IF(below_descriptor(descriptor), "flock");
    return REAL(flock)(descriptor, operation);
}

int fsync(int descriptor) {
    REFUSE_IF(is_folder(descriptor) && below_descriptor(descriptor), "fsync-folder");
    REFUSE_IF(is_file(descriptor) && below_descriptor(descriptor), "fsync-file");
    return REAL(fsync)(descriptor);
}

int fchmod(int descriptor, mode_t mode) {
    REFUSE_IF(below_descriptor(descriptor), "fchmod");
    return REAL(fchmod)(descriptor, mode);
}

int chmod(const char *path, mode_t mode) {
    REFUSE_IF(below(path), "chmod");
    return REAL(chmod)(path, mode);
}

int link(const char *from, const char *to) {
    REFUSE_IF(below(to), "link");
    return REAL(link)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    REFUSE_IF(below(to), "link");
    return REAL(linkat)(a, from, b, to, flags);
}

int rename(const char *from, const char *to) {
    REFUSE_IF(below(to), "rename");
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    REFUSE_IF(below(path), "unlink");
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    REFUSE_IF(below(path), "mkdir");
    return REAL(mkdir)(path, mode);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    REFUSE_IF(below(path), "utime");
    return REAL(utimensat)(folder, path, times, flags);
}

ssize_t read(int descriptor, void *data, size_t size) {
    REFUSE_IF(is_file(descriptor) && below_descriptor(descriptor), "read");
    return REAL(read)(descriptor, data, size);
}

ssize_t preadv(int descriptor, const struct iovec *parts, int count, off_t offset) {
    REFUSE_IF(below_descriptor(descriptor), "pread");
    return REAL(preadv)(descriptor, parts, count, offset);
}

ssize_t preadv64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    REFUSE_IF(below_descriptor(descriptor), "pread");
    return REAL(preadv64)(descriptor, parts, count, offset);
}

/* A disk that is full after so many bytes. */
ssize_t write(int descriptor, const void *data, size_t size) {
    if (is_file(descriptor) && below_descriptor(descriptor)) {
        int why = refused("write", (long)size, &written);
        if (why) {
            errno = why;
            return -1;
        }
    }
    return REAL(write)(descriptor, data, size);
}

int ftruncate(int descriptor, off_t size) {
    REFUSE_IF(below_descriptor(descriptor), "ftruncate");
    return REAL(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
    REFUSE_IF(below_descriptor(descriptor), "ftruncate");
    return REAL(ftruncate64)(descriptor, size);
}
