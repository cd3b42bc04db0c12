/* For schema_test.py: reads a file on stdin and prints its sparse form, or the error, and fails.
 * With an argument it prints the reference instead. */
#include <stdio.h>

#include "base/mem.h"
#include "model/spec.h"

int main(int argc, char **argv)
{
    auto_free char *text = xcalloc(SPEC_SIZE_MAX + 2, 1);
    json_auto_t *sparse = NULL;
    struct err err = { 0 };

    (void)argv;
    if (argc > 1) {
        spec_print(stdout);
        return 0;
    }
    size_t len = fread(text, 1, SPEC_SIZE_MAX + 1, stdin);
    if (spec_parse_yaml(text, len, "evenkeel.yaml", &sparse, &err)) {
        puts(err.text);
        return 1;
    }
    auto_free char *canonical = spec_canonical(sparse);
    puts(canonical);
    return 0;
}
