/* SPDX-License-Identifier: Apache-2.0 */
/* For programs whose stack is computed: functions stay apart, `hold` keeps an array on the stack,
 * `saves` pushes registers, `use` takes nothing. The first function is `top`. */
#define APART __attribute__((noipa))
#define hold(array) __asm__ volatile("" ::"r"(array) : "memory")
#define saves() __asm__ volatile("" ::: "r4", "r5", "r6", "r7", "r8", "r9")
APART int use(int x) {
    return x + 1;
}
