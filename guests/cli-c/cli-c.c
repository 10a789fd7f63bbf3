// A preview1 command in C: arguments, standard input and exit code.
//
// Prints its arguments (without the program name), one per line. The first argument may
// ask for something else instead: `exit CODE` exits with that code, `stdin` copies
// standard input to standard output.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_all(const char *data, size_t len) {
  while (len > 0) {
    ssize_t written = write(STDOUT_FILENO, data, len);
    if (written < 0) exit(EXIT_FAILURE);
    data += written;
    len -= (size_t)written;
  }
}

static void copy_stdin(void) {
  char buffer[4096];
  ssize_t len;
  while ((len = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
    write_all(buffer, (size_t)len);
  }
  if (len < 0) exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "exit") == 0) return atoi(argv[2]);
  if (argc == 2 && strcmp(argv[1], "stdin") == 0) {
    copy_stdin();
    return EXIT_SUCCESS;
  }
  for (int i = 1; i < argc; i++) {
    write_all(argv[i], strlen(argv[i]));
    write_all("\n", 1);
  }
  return EXIT_SUCCESS;
}
