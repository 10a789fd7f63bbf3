// POSIX files by wasi-libc, driven by its arguments: each argument is one call, and each
// prints one line, `!` and the name of errno where the call failed. What is opened is kept
// under a digit for the arguments after it. Built as a preview1 command and as a component.
//
// An argument is words separated by spaces; `run` below lists them.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int fds[10];

static const char *name_of(int error) {
  switch (error) {
#define NAME(error) \
  case error:       \
    return #error;
    NAME(EACCES)
    NAME(EBADF)
    NAME(EEXIST)
    NAME(EFBIG)
    NAME(EINVAL)
    NAME(EIO)
    NAME(EISDIR)
    NAME(ELOOP)
    NAME(EMFILE)
    NAME(ENAMETOOLONG)
    NAME(ENFILE)
    NAME(ENOENT)
    NAME(ENOMEM)
    NAME(ENOSPC)
    NAME(ENOTCAPABLE)
    NAME(ENOTDIR)
    NAME(ENOTEMPTY)
    NAME(ENOTSUP)
    NAME(EPERM)
    NAME(EPIPE)
    NAME(EROFS)
    NAME(ESPIPE)
    NAME(EXDEV)
#undef NAME
  }
  return strerror(error);
}

static void answer(int failed) {
  if (failed) {
    printf("!%s\n", name_of(errno));
  } else {
    puts("ok");
  }
}

static void number(long long value) {
  if (value < 0) {
    printf("!%s\n", name_of(errno));
  } else {
    printf("%lld\n", value);
  }
}

// r, w: access; c: create, x: exclusive, t: truncate, a: append, d: directory, n: no follow.
static int flags_of(const char *letters) {
  int read = strchr(letters, 'r') != NULL, write = strchr(letters, 'w') != NULL;
  int flags = read && write ? O_RDWR : write ? O_WRONLY : O_RDONLY;
  if (strchr(letters, 'c')) flags |= O_CREAT;
  if (strchr(letters, 'x')) flags |= O_EXCL;
  if (strchr(letters, 't')) flags |= O_TRUNC;
  if (strchr(letters, 'a')) flags |= O_APPEND;
  if (strchr(letters, 'd')) flags |= O_DIRECTORY;
  if (strchr(letters, 'n')) flags |= O_NOFOLLOW;
  return flags;
}

static int compare(const void *one, const void *other) {
  return strcmp(*(char *const *)one, *(char *const *)other);
}

// The names in a folder: sorted, or only how many with `count`.
static void list(const char *path, int count_only) {
  DIR *dir = opendir(path);
  if (dir == NULL) {
    answer(1);
    return;
  }
  char **names = NULL;
  size_t count = 0;
  struct dirent *entry;
  while ((errno = 0, entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    names = realloc(names, (count + 1) * sizeof *names);
    names[count++] = strdup(entry->d_name);
  }
  int failed = errno;
  closedir(dir);
  if (failed) {
    printf("!%s\n", name_of(failed));
  } else if (count_only) {
    printf("%zu\n", count);
  } else {
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++) printf("%s%s", i > 0 ? " " : "", names[i]);
    puts("");
  }
}

static void show(int failed, const struct stat *stat) {
  if (failed) {
    answer(1);
    return;
  }
  const char *type = S_ISREG(stat->st_mode)   ? "file"
                     : S_ISDIR(stat->st_mode) ? "directory"
                     : S_ISLNK(stat->st_mode) ? "link"
                                              : "other";
  printf("%s size=%lld links=%lld modified=%lld\n", type, (long long)stat->st_size,
         (long long)stat->st_nlink, (long long)stat->st_mtim.tv_sec);
}

// Reads once, and prints what has been read.
static void text(long long len, const char *buffer) {
  if (len < 0) {
    answer(1);
  } else {
    printf("%.*s<%lld>\n", (int)len, buffer, len);
  }
}

// Writes LEN bytes and reads them back, with as few calls as the system takes.
static void large(const char *path, size_t len) {
  unsigned char *bytes = malloc(len), *read_back = malloc(len);
  if (bytes == NULL || read_back == NULL) abort();
  for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)(i % 251);
  FILE *file = fopen(path, "w");
  if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
    answer(1);
    return;
  }
  file = fopen(path, "r");
  if (file == NULL || fread(read_back, 1, len, file) != len) {
    answer(1);
    return;
  }
  fclose(file);
  puts(memcmp(bytes, read_back, len) == 0 ? "same" : "different");
}

static void run(char *line) {
  char *words[6] = {"", "", "", "", "", ""};
  int count = 0;
  for (char *word = strtok(line, " "); word != NULL && count < 6; word = strtok(NULL, " ")) {
    words[count++] = word;
  }
  const char *call = words[0], *one = words[1], *two = words[2], *three = words[3];
  int *fd = &fds[(unsigned)(one[0] - '0') % 10];
  char buffer[4096];
  struct stat stats;
#define CALL(name) if (strcmp(call, name) == 0)
  CALL("open") {
    *fd = open(three, flags_of(two), 0644);
    answer(*fd < 0);
  }
  else CALL("close") answer(close(*fd));
  else CALL("read") text(read(*fd, buffer, (size_t)atoi(two)), buffer);
  else CALL("pread") text(pread(*fd, buffer, (size_t)atoi(two), atoi(three)), buffer);
  else CALL("write") number(write(*fd, two, strlen(two)));
  else CALL("pwrite") number(pwrite(*fd, three, strlen(three), atoi(two)));
  else CALL("seek") {
    int whence = three[0] == 's' ? SEEK_SET : three[0] == 'c' ? SEEK_CUR : SEEK_END;
    number(lseek(*fd, atoll(two), whence));
  }
  else CALL("truncate") answer(ftruncate(*fd, atoll(two)));
  else CALL("sync") answer(fsync(*fd));
  else CALL("datasync") answer(fdatasync(*fd));
  else CALL("stat") show(stat(one, &stats), &stats);
  else CALL("lstat") show(lstat(one, &stats), &stats);
  else CALL("fstat") show(fstat(*fd, &stats), &stats);
  else CALL("mkdir") answer(mkdir(one, 0755));
  else CALL("rmdir") answer(rmdir(one));
  else CALL("unlink") answer(unlink(one));
  else CALL("rename") answer(rename(one, two));
  else CALL("link") answer(link(one, two));
  else CALL("symlink") answer(symlink(one, two));
  else CALL("readlink") {
    ssize_t len = readlink(one, buffer, sizeof buffer);
    text(len, buffer);
  }
  else CALL("ls") list(one, 0);
  else CALL("ls-count") list(one, 1);
  else CALL("utimens") {
    struct timespec times[2] = {{atoll(two), 0}, {atoll(two), 0}};
    answer(utimensat(AT_FDCWD, one, times, 0));
  }
  else CALL("futimens") {
    struct timespec times[2] = {{atoll(two), 0}, {atoll(two), 0}};
    answer(futimens(*fd, times));
  }
  else CALL("large") large(one, (size_t)atoll(two));
  // Opens PATH so many times and keeps each.
  else CALL("open-many") {
    int opened = 0;
    while (opened < atoi(one) && open(two, O_RDONLY) >= 0) opened++;
    if (opened < atoi(one)) {
      printf("!%s after %d\n", name_of(errno), opened);
    } else {
      puts("ok");
    }
  }
  else CALL("open-close-many") {
    for (int i = 0; i < atoi(one); i++) {
      int opened = open(two, O_RDONLY);
      if (opened < 0) {
        printf("!%s after %d\n", name_of(errno), i);
        return;
      }
      close(opened);
    }
    puts("ok");
  }
  else CALL("cwd") puts(getcwd(buffer, sizeof buffer) ? buffer : name_of(errno));
  else CALL("env") puts(getenv(one) ? getenv(one) : "none");
  else CALL("tty") printf("%d %d %d\n", isatty(0), isatty(1), isatty(2));
  else CALL("stdin") text(read(0, buffer, sizeof buffer), buffer);
  else CALL("random") {
    size_t len = (size_t)atoll(one);
    unsigned char *bytes = malloc(len);
    if (bytes == NULL) abort();
    // POSIX has 256 bytes at the most for one call.
    for (size_t at = 0; at < len; at += 256) {
      if (getentropy(bytes + at, len - at < 256 ? len - at : 256) != 0) {
        answer(1);
        return;
      }
    }
    size_t zeroes = 0;
    for (size_t at = 0; at < len; at++) zeroes += bytes[at] == 0;
    printf("%zu bytes, %zu zero\n", len, zeroes);
  }
  else CALL("clock") {
    struct timespec now, resolution, later;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_getres(CLOCK_MONOTONIC, &resolution);
    struct timespec pause = {0, atoll(one) * 1000000};
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &later);
    long long slept =
        (later.tv_sec - now.tv_sec) * 1000000000LL + (later.tv_nsec - now.tv_nsec);
    int enough = slept >= pause.tv_nsec && resolution.tv_nsec > 0;
    printf("%s\n", enough ? "slept" : "woke early");
  }
  else CALL("time") printf("%lld\n", (long long)time(NULL));
  else CALL("stderr") {
    fprintf(stderr, "%s\n", one);
    puts("ok");
  }
  else CALL("exit") {
    fflush(stdout);
    exit(atoi(one));
  }
  else printf("no such call: %s\n", call);
}

// Where the preview1 adapter of the component keeps its state. Without this it grows the
// memory itself, and wasi-libc's malloc takes the new page for its own.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *ptr, size_t old_size,
                                                                size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) run(argv[i]);
  return EXIT_SUCCESS;
}
