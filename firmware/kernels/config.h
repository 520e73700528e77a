/* SPDX-License-Identifier: Apache-2.0 */
/* What a model asks of the kernels. Its generated C defines what is special about it, then includes
 * its core's kernels: plain.h, dsp.h or mve.h. Without a definition they take any model, and cost
 * more than this one needs.
 */
#ifndef WS_KERNELS_CONFIG_H
#define WS_KERNELS_CONFIG_H

#include <stdint.h>

/* 0: every result is scaled to the right, by one bit at least. */
#ifndef WS_ANY_SHIFT
#define WS_ANY_SHIFT 1
#endif

/* 0: no layer has a range narrower than int8, but for a ReLU whose zero point is -128. */
#ifndef WS_CLAMPS
#define WS_CLAMPS 1
#endif

/* 0: the zero point of dot products' (depthwise convolutions') outputs is -128: results below it
 * need not be rounded exactly. */
#ifndef WS_SIGNED_DOTS
#define WS_SIGNED_DOTS 1
#endif
#ifndef WS_SIGNED_DEPTHWISE
#define WS_SIGNED_DEPTHWISE 1
#endif

/* 0: no depthwise channel has two weights of -128, so that two products fit into int16 (mve). */
#ifndef WS_CAREFUL_DEPTHWISE
#define WS_CAREFUL_DEPTHWISE 1
#endif

/* 1: halves are rounded up, as TensorFlow Lite does on a computer, but in the last channels of
 * depthwise convolutions, those past whole eights. 0: away from zero, as its reference kernels and
 * TFLM. */
#ifndef WS_HALVES_UP
#define WS_HALVES_UP 0
#endif

/* 0: no operator of that kind scales to the left (ops_pairs.h). */
#ifndef WS_LEFT_MUL
#define WS_LEFT_MUL 1
#endif
#ifndef WS_LEFT_SQUARED_DIFFERENCE
#define WS_LEFT_SQUARED_DIFFERENCE 1
#endif
#ifndef WS_LEFT_PRELU
#define WS_LEFT_PRELU 1
#endif

/* What holds the sizes of all layers, and the kernels, strides, dilations and padding of all
 * windows. */
#ifndef WS_SIZE_TYPE
#define WS_SIZE_TYPE int32_t
#endif
#ifndef WS_WINDOW_TYPE
#define WS_WINDOW_TYPE int32_t
#endif

/* How functions in a header are declared: those that a model does not call cost nothing. */
#define WS_INLINE static inline __attribute__((always_inline))
#define WS_FUNCTION static __attribute__((unused))
#define WS_NOINLINE static __attribute__((noinline, unused))

/* The largest kernels. Each word's C has its own; in a program of several words, built with
 * -DWS_SHARED_KERNELS, they are weak and their names say what is defined above, so that the linker
 * keeps one of those that are equal. */
#ifdef WS_SHARED_KERNELS
#define WS_KERNEL __attribute__((weak, noinline))
#define WS_KERNEL_NOINLINE __attribute__((weak, noinline))
#define WS_ALIKE_(name, a, b, c, d, e, f, g, h) name##a##b##c##d##e##f##_##g##_##h
#define WS_ALIKE(...) WS_ALIKE_(__VA_ARGS__)
#define WS_SHARED(name)                                                          \
    WS_ALIKE(name, WS_ANY_SHIFT, WS_CLAMPS, WS_SIGNED_DOTS, WS_SIGNED_DEPTHWISE, \
             WS_CAREFUL_DEPTHWISE, WS_HALVES_UP, WS_SIZE_TYPE, WS_WINDOW_TYPE)
#define ws_dot WS_SHARED(ws_dot_)
#define ws_dot_wide WS_SHARED(ws_dot_wide_)
#define ws_long WS_SHARED(ws_long_)
#define ws_long_wide WS_SHARED(ws_long_wide_)
#define ws_depthwise WS_SHARED(ws_depthwise_)
#define ws_whole_groups WS_SHARED(ws_whole_groups_)
#define ws_sums WS_SHARED(ws_sums_)
#define ws_finish WS_SHARED(ws_finish_)
#else
#define WS_KERNEL static inline
#define WS_KERNEL_NOINLINE WS_NOINLINE
#endif

#endif
