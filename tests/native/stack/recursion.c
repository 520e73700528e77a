/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

APART int odd(int x);
APART int even(int x) {
    return x ? odd(x - 1) + 1 : 7;
}
APART int odd(int x) {
    return x ? even(x - 1) + 2 : 9;
}
int top(int x) {
    return odd(x) + 1;
}
