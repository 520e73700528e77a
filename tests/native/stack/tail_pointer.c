/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

int (*volatile pointer)(int);
int top(int x) {
    return pointer(x);
}
