/* SPDX-License-Identifier: Apache-2.0 */
/* The checked build: with WS_CHECKED defined, fixed-point operations of the portable kernels and of
 * the front end assert that their results are in range, also where C would wrap silently. Without
 * it they cost nothing. WS_ASSERT may be defined as what shall happen instead of assert().
 */
#ifndef WS_KERNELS_CHECK_H
#define WS_KERNELS_CHECK_H

#include <stdint.h>

#ifdef WS_CHECKED
#ifndef WS_ASSERT
#include <assert.h>
#define WS_ASSERT(condition) assert(condition)
#endif
#define WS_CHECK(condition) WS_ASSERT(condition)

static inline int32_t ws_checked(int64_t value) {
    WS_CHECK(value >= INT32_MIN && value <= INT32_MAX);
    return (int32_t)value;
}

#define WS_ADD(a, b) ws_checked((int64_t)(a) + (b))
#define WS_SUB(a, b) ws_checked((int64_t)(a) - (b))
#define WS_MUL(a, b) ws_checked((int64_t)(a) * (b))
#else
#define WS_CHECK(condition) ((void)sizeof((condition) ? 1 : 0)) /* not evaluated */
#define WS_ADD(a, b) ((a) + (b))
#define WS_SUB(a, b) ((a) - (b))
#define WS_MUL(a, b) ((a) * (b))
#endif

#endif
