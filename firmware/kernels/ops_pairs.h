/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on two tensors, with broadcasting, for ops.h: `a` and `b` have a stride for each of
 * four loops of n runs; a stride of 0 broadcasts. Zero points are taken off, and both are brought
 * to one scale where they are added. */
#ifndef WS_KERNELS_OPS_PAIRS_H
#define WS_KERNELS_OPS_PAIRS_H

#include "arithmetic.h"
#include "types.h"

/* One result of one value of each; `shape` is the operator's. */
typedef int8_t (*ws_op_pair)(const void *shape, int8_t x, int8_t y);

WS_INLINE void ws_op_pairs(const int32_t n[4], const int32_t as[4], const int32_t bs[4],
                           const int8_t *a, const int8_t *b, int8_t *out, const void *shape,
                           ws_op_pair result) {
    WS_EACH(i, j, k, n) {
        const int8_t *x = a + i * as[0] + j * as[1] + k * as[2];
        const int8_t *y = b + i * bs[0] + j * bs[1] + k * bs[2];
        for (int32_t l = n[3]; l > 0; l--, x += as[3], y += bs[3]) {
            *out++ = result(shape, *x, *y);
        }
    }
}

/* The function of an operator. `shape` is a copy, which writing to `out` does not change. */
#define WS_OP_PAIRS(name)                                                              \
    WS_FUNCTION void name(const name##_shape *given, const int8_t *a, const int8_t *b, \
                          int8_t *out) {                                               \
        const name##_shape shape = *given;                                             \
        ws_op_pairs(shape.n, shape.a, shape.b, a, b, out, &shape, name##_of);          \
    }

WS_INLINE int8_t ws_op_ranged(int32_t value, ws_range range) {
    return ws_clamp8(value + range.zero_point, range.low, range.high);
}

/* By `multiplier` and `shift`, which is to the left only if `left`. */
WS_INLINE int32_t ws_op_to(int32_t value, int32_t multiplier, int shift, bool left) {
    return left ? ws_rescale(value, multiplier, shift) : ws_down(value, multiplier, shift);
}

typedef struct {
    int32_t n[4], a[4], b[4];
} ws_op_maximum_shape, ws_op_minimum_shape;

WS_INLINE int8_t ws_op_maximum_of(const void *shape, int8_t x, int8_t y) {
    (void)shape;
    return x > y ? x : y;
}

WS_INLINE int8_t ws_op_minimum_of(const void *shape, int8_t x, int8_t y) {
    (void)shape;
    return x < y ? x : y;
}

typedef struct {
    int32_t n[4], a[4], b[4];
    int16_t a_zero, b_zero;
    int32_t a_multiplier, b_multiplier; /* to a common scale; b's of prelu: of negative inputs */
    int8_t a_shift, b_shift;
    int8_t shift;
    int32_t multiplier;
    ws_range range;
} ws_op_add_shape, ws_op_sub_shape, ws_op_squared_difference_shape, ws_op_mul_shape,
    ws_op_prelu_shape;

/* x + `sign` times y in the common scale, to which they are brought with `bits` more. */
WS_INLINE int32_t ws_op_sum(const ws_op_add_shape *s, int8_t x, int8_t y, int sign, int bits) {
    return ws_down((x - s->a_zero) * (1 << bits), s->a_multiplier, s->a_shift) +
           sign * ws_down((y - s->b_zero) * (1 << bits), s->b_multiplier, s->b_shift);
}

WS_INLINE int8_t ws_op_add_of(const void *given, int8_t x, int8_t y) {
    const ws_op_add_shape *shape = given;
    const int32_t sum = ws_op_sum(shape, x, y, 1, 20);
    return ws_op_ranged(ws_down(sum, shape->multiplier, shape->shift), shape->range);
}

WS_INLINE int8_t ws_op_sub_of(const void *given, int8_t x, int8_t y) {
    const ws_op_sub_shape *shape = given;
    const int32_t difference = ws_op_sum(shape, x, y, -1, 20);
    return ws_op_ranged(ws_down(difference, shape->multiplier, shape->shift), shape->range);
}

WS_INLINE int8_t ws_op_squared_difference_of(const void *given, int8_t x, int8_t y) {
    const ws_op_squared_difference_shape *shape = given;
    const int32_t difference = ws_op_sum(shape, x, y, -1, 7);
    return ws_op_ranged(ws_op_to(difference * difference, shape->multiplier, shape->shift,
                                 WS_LEFT_SQUARED_DIFFERENCE),
                        shape->range);
}

WS_INLINE int8_t ws_op_mul_of(const void *given, int8_t x, int8_t y) {
    const ws_op_mul_shape *shape = given;
    const int32_t product = (x - shape->a_zero) * (y - shape->b_zero);
    return ws_op_ranged(ws_op_to(product, shape->multiplier, shape->shift, WS_LEFT_MUL),
                        shape->range);
}

WS_INLINE int8_t ws_op_prelu_of(const void *given, int8_t x, int8_t y) {
    const ws_op_prelu_shape *shape = given;
    const int32_t p = x - shape->a_zero, q = y - shape->b_zero;
    const int32_t value = p >= 0
                              ? ws_op_to(p, shape->multiplier, shape->shift, WS_LEFT_PRELU)
                              : ws_op_to(p * q, shape->b_multiplier, shape->b_shift, WS_LEFT_PRELU);
    return ws_op_ranged(value, shape->range);
}

typedef struct {
    int32_t n[4], a[4], b[4];
    int16_t a_zero, b_zero;
    const int32_t *inverse; /* of each divisor, -128 first, in Q31, and how far it is down */
    const int8_t *down;
    int32_t multiplier;
    int8_t shift;
    ws_range range;
} ws_op_div_shape;

WS_INLINE int8_t ws_op_div_of(const void *given, int8_t x, int8_t y) {
    const ws_op_div_shape *shape = given;
    const int32_t p = x - shape->a_zero, q = y - shape->b_zero;
    const int32_t dividend = q < 0 ? -p : p;
    const int32_t size = dividend < 0 ? ~dividend : dividend;
    int headroom = 23;
    while (headroom < 31 && (size >> (30 - headroom)) == 0) {
        headroom++;
    }
    const int32_t shifted = (int32_t)((uint32_t)dividend << headroom);
    const int32_t quotient =
        ws_high_mul(ws_high_mul(shifted, shape->inverse[y + 128]), shape->multiplier);
    const int right = shape->down[y + 128] + headroom + shape->shift;
    /* Beyond 31, as TFLM's shift and mask of 32 bits have it. */
    const int32_t value = right > 31 ? (quotient >> (right & 31)) + (quotient >= 0 ? 1 : 0)
                                     : ws_divide(quotient, right);
    return ws_op_ranged(value, shape->range);
}

WS_OP_PAIRS(ws_op_add)
WS_OP_PAIRS(ws_op_sub)
WS_OP_PAIRS(ws_op_mul)
WS_OP_PAIRS(ws_op_squared_difference)
WS_OP_PAIRS(ws_op_maximum)
WS_OP_PAIRS(ws_op_minimum)
WS_OP_PAIRS(ws_op_prelu)
WS_OP_PAIRS(ws_op_div)

#endif
