#include "posix.h"

int main(int argc, char **argv) {
    ws_io io = ws_posix_io();
    return ws_program(&io, argc > 0 ? argc - 1 : 0, (const char *const *)(argv + 1));
}
