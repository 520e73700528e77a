/* SPDX-License-Identifier: Apache-2.0 */
/* Arm semihosting: a debugger, or QEMU, does files and the console for the board. */
#ifndef WS_SEMIHOSTING_H
#define WS_SEMIHOSTING_H

#include "programs/common/io.h"

/* Opens the streams of io.h. */
void ws_semihosting_start(void);

/* The arguments, parted by newlines so that they may hold spaces; false when there is no room. */
bool ws_semihosting_arguments(char *text, size_t capacity);

#endif
