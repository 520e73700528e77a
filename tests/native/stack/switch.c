/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

#define CASE(n)             \
    case n:                 \
        hold(array);        \
        x = use(x + n * n); \
        break

APART int deep(int x) {
    char array[80];
    hold(array);
    return use(x) + 1;
}
int top(int x) {
    char array[24];
    hold(array);
    switch (x) {
        CASE(0);
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        case 9:
            return deep(x) + array[1];
    }
    return x + array[0];
}
