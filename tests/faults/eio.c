/* Fails fsync and fdatasync with EIO, on command: for each file whose path contains the first line of the file that
   CERTWRIGHT_TEST_EIO names, as long as that file is there. Loaded by LD_PRELOAD; see tests/faults/disks.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cursed(int fd)
{
    char path[4096], link[64], mark[4096] = "";
    const char *order = getenv("CERTWRIGHT_TEST_EIO");
    FILE *file = order ? fopen(order, "r") : NULL;
    ssize_t length;

    if (!file)
        return 0;
    if (fgets(mark, sizeof mark, file))
        mark[strcspn(mark, "\n")] = '\0';
    fclose(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !*mark)
        return 0;
    path[length] = '\0';
    return strstr(path, mark) != NULL;
}

static int pass_on(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    if (cursed(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd) { return pass_on("fsync", fd); }
int fdatasync(int fd) { return pass_on("fdatasync", fd); }
