/* SPDX-License-Identifier: Apache-2.0 */
/* Two steps of a word's generated front end; their numbers are macros: tests/unit/test_checked.py
 * gives them. */
#include "ws_frontend.c"

int main(void) {
    static const int32_t bins[2] = {RE, RE};
    static const uint16_t rise[1] = {30000};
    mel next = {bins, rise};
    uint64_t rising = 0;
    (void)falling_band(&next, 1, 1u << SCALE, &rising);
    return (int)(steps_q8(rising, 0) + other(RE, SUM)) == 123;
}
