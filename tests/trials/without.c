/* Preloaded, it makes a file system without locks and without symbolic links. */
#include <errno.h>

int flock(int file, int operation) {
    (void)file;
    (void)operation;
    errno = ENOLCK;
    return -1;
}

int symlink(const char *target, const char *path) {
    (void)target;
    (void)path;
    errno = EPERM;
    return -1;
}
