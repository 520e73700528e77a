/* SPDX-License-Identifier: Apache-2.0 */
/* A dot product and a division whose numbers are macros: tests/unit/test_checked.py gives them. */
#include "kernels/plain.h"

#include "kernels/ops.h"

int main(void) {
    static int8_t in[4] = {127, 127, 127, 127}, weights[4] = {127, 127, 127, 127}, out[1];
    const int32_t bias[1] = {BIAS}, multiplier[1] = {MULTIPLIER};
    const int8_t shift[1] = {SHIFT};
    const ws_row row = {bias, multiplier, shift};
    const ws_dot_shape shape = {1, 4, 4, 1, {0, -128, 127}};
    ws_dot(&shape, &row, weights, in, out, NULL);
    return ws_divide(ws_high_mul(A, A), EXPONENT) == 123;
}
