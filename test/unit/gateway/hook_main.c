/* The hooks as a program, for git_http_test.c; in an installation it is the gateway's. */
#include "gateway/git.h"

int main(int argc, char **argv)
{
    return gateway_hook_main(argc, argv);
}
