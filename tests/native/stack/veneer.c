/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

__attribute__((noipa, section(".far"))) int far(int x) {
    char array[72];
    hold(array);
    return x + 1;
}
int top(int x) {
    return far(x) + use(x);
}
