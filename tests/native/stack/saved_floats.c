/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

int top(int x) {
    __asm__ volatile("" ::: "d8", "d9", "d10");
    return use(x) + x;
}
