#include "apart.h"

int top(int x) {
    char array[x];
    hold(array);
    return array[0];
}
