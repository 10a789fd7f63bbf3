// The job of file-processor in C: sums up a CSV file of orders by region.
//
// Reads `--input FILE` with the columns date, region, product, quantity and price in cents;
// writes the totals of each region to /output/summary.json, or to /output/summary.csv if
// the variable OUTPUT_FORMAT is `csv`. A component without a `main` asks WASI for its
// arguments itself; files and variables work as in any C program.

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { REGIONS_MAX = 64, LINE_MAX_BYTES = 256 };

typedef struct {
  char name[64];
  unsigned long long orders, units, cents;
} totals_t;

// `result<string, string>` in the canonical ABI.
typedef struct {
  uint8_t is_err;
  char *ptr;
  size_t len;
} result_t;

static result_t result;

static result_t *finish(int is_err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int size = vasprintf(&result.ptr, format, args);
  va_end(args);
  if (size < 0) abort();
  result.is_err = (uint8_t)is_err;
  result.len = (size_t)size;
  return &result;
}

// The argument after `--input`, or NULL.
static char *input_argument(void) {
  size_t count, size;
  if (__wasi_args_sizes_get(&count, &size) != 0) return NULL;
  uint8_t **args = malloc((count + 1) * sizeof *args);
  uint8_t *text = malloc(size);
  if (args == NULL || text == NULL) abort();
  if (__wasi_args_get(args, text) != 0) return NULL;
  for (size_t i = 1; i + 1 < count; i++) {
    if (strcmp((char *)args[i], "--input") == 0) return (char *)args[i + 1];
  }
  return NULL;
}

static int by_name(const void *one, const void *other) {
  return strcmp(((const totals_t *)one)->name, ((const totals_t *)other)->name);
}

static totals_t *region(totals_t *regions, size_t *count, const char *name) {
  for (size_t i = 0; i < *count; i++) {
    if (strcmp(regions[i].name, name) == 0) return &regions[i];
  }
  if (*count == REGIONS_MAX) return NULL;
  totals_t *found = &regions[(*count)++];
  memset(found, 0, sizeof *found);
  snprintf(found->name, sizeof found->name, "%s", name);
  return found;
}

EXPORT("cabi_realloc")
void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

EXPORT("process")
result_t *process(void) {
  static totals_t regions[REGIONS_MAX];
  size_t count = 0, rows = 0;
  char line[LINE_MAX_BYTES], name[64], output[64];

  const char *input = input_argument();
  if (input == NULL) return finish(1, "usage: --input FILE");
  FILE *in = fopen(input, "r");
  if (in == NULL) return finish(1, "%s: %s", input, strerror(errno));
  for (size_t number = 1; fgets(line, sizeof line, in) != NULL; number++) {
    unsigned long long quantity, cents;
    if (number == 1) continue;
    if (sscanf(line, "%*[^,],%63[^,],%*[^,],%llu,%llu", name, &quantity, &cents) != 3) {
      return finish(1, "%s:%zu: not date,region,product,quantity,cents", input, number);
    }
    totals_t *totals = region(regions, &count, name);
    if (totals == NULL) return finish(1, "%s: too many regions", input);
    totals->orders++;
    totals->units += quantity;
    totals->cents += quantity * cents;
    rows++;
  }
  fclose(in);
  qsort(regions, count, sizeof *regions, by_name);

  const char *format = getenv("OUTPUT_FORMAT");
  int json = format == NULL || strcmp(format, "json") == 0;
  if (!json && strcmp(format, "csv") != 0) {
    return finish(1, "OUTPUT_FORMAT=%s: it may be json or csv", format);
  }
  snprintf(output, sizeof output, "/output/summary.%s", json ? "json" : "csv");
  FILE *out = fopen(output, "w");
  if (out == NULL) return finish(1, "%s: %s", output, strerror(errno));
  fputs(json ? "{" : "region,orders,units,cents\n", out);
  for (size_t i = 0; i < count; i++) {
    const char *row =
        json ? "%s\n  \"%s\": {\"orders\": %llu, \"units\": %llu, \"cents\": %llu}"
             : "%s%s,%llu,%llu,%llu\n";
    fprintf(out, row, json && i > 0 ? "," : "", regions[i].name, regions[i].orders,
            regions[i].units, regions[i].cents);
  }
  if (json) fputs("\n}\n", out);
  if (fclose(out) != 0) return finish(1, "%s: %s", output, strerror(errno));
  return finish(0, "%zu rows of %s: %zu regions in %s", rows, input, count, output);
}

// Called by the host once it has copied the result.
EXPORT("cabi_post_process")
void process_post_return(result_t *returned) { free(returned->ptr); }
