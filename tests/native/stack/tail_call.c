/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

APART int last(int x) {
    char array[96];
    hold(array);
    return use(x) + 1;
}
APART int first(int x) {
    saves();
    return last(use(x) + x);
}
int top(int x) {
    return first(x) + 1;
}
