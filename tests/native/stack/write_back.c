/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

int top(int x) {
    __asm__ volatile("str %0, [sp, #-8]!\n ldr %0, [sp], #8" : "+r"(x));
    return x;
}
