/* evenkeel-builder: takes builds from the controller, one per slot. See builder/builder.h. */
#include <locale.h>

#include "builder/builder.h"
#include "cmd/program.h"

static void on_signal(void *arg)
{
    struct builder *const *builder = arg;
    if (*builder)
        builder_stop(*builder);
}

static int run(const void *config, struct err *err)
{
    struct builder *builder = NULL;
    struct loop *loop = loop_new(on_signal, &builder);
    int rc = builder_start(loop, config, &builder, err);

    if (rc == 0)
        loop_run(loop);
    builder_free(builder);
    loop_free(loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct builder_config config = { 0 };
    const struct program program = {
        .name = "evenkeel-builder",
        .keys = builder_conf_keys,
        .key_count = builder_conf_count,
        .config = &config,
        .log_level = &config.log_level,
        .umask = 077,
        .run = run,
    };

    setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive keeps names that are not ASCII only so */
    return program_main(&program, argc, argv);
}
