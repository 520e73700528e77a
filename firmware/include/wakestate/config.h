/* SPDX-License-Identifier: Apache-2.0 */
/* What a build may set, each by -DNAME=value; the defaults are here.
 *
 * All files of a program must see the same values.
 */
#ifndef WAKESTATE_CONFIG_H
#define WAKESTATE_CONFIG_H

/* Steps that a detector can average: three bytes of RAM for each, in every word. A word file may
 * ask for 16. */
#ifndef WS_SMOOTHING_MAX
#define WS_SMOOTHING_MAX 16
#endif

/* Around declarations of C, for C++. */
#ifdef __cplusplus
#define WS_BEGIN_C extern "C" {
#define WS_END_C }
#else
#define WS_BEGIN_C
#define WS_END_C
#endif

/* Called with what must hold whatever the input is, as assert() is; by default nothing is checked,
 * but in a checked build (WS_CHECKED), where fixed-point operations assert their ranges, too. */
#ifndef WS_ASSERT
#ifdef WS_CHECKED
#include <assert.h>
#define WS_ASSERT(condition) assert(condition)
#else
#define WS_ASSERT(condition) ((void)0)
#endif
#endif

#endif
