/* SPDX-License-Identifier: Apache-2.0 */
/* What an exported sample uses of Zephyr, on the host. */
#include <stdio.h>

#define printk printf
