/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

int (*volatile pointer)(int);
int middle(int x) {
    return pointer(x) + 1;
}
int top(int x) {
    return middle(x);
}
