/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

APART int low(int x) {
    char array[200];
    hold(array);
    return use(x) + 1;
}
APART int high(int x) {
    char array[64];
    hold(array);
    return use(x) + 2;
}
APART int middle(int x) {
    char array[40];
    hold(array);
    return high(x) + low(x);
}
int top(int x) {
    return middle(x) + high(x);
}
