/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

int top(int x) {
    char array[x];
    hold(array);
    return array[0];
}
