/* SPDX-License-Identifier: Apache-2.0 */
/* A program that faults, by FAULT: 0 overflows its stack, 1 traps, 2 loads two words where they are
 * not aligned. */
#include "programs/common/io.h"

int ws_program(int argc, const char *const *argv) {
    (void)argv;
#if FAULT == 0
    volatile char deep[100000];
    for (int i = 99999; i >= 0; i--)
        deep[i] = 1;
    return deep[5 + argc];
#elif FAULT == 1
    (void)argc;
    __builtin_trap();
#else
    return (int)*(volatile uint64_t *)(uintptr_t)(argc + 0x2000000d);
#endif
}
