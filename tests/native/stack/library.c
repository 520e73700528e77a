/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

void *memmove(void *, const void *, unsigned);
int top(int x) {
    char array[64];
    hold(array);
    memmove(array + x, array, 40u);
    return array[x];
}
