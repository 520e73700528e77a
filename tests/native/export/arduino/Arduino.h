/* SPDX-License-Identifier: Apache-2.0 */
/* What an exported sketch uses of Arduino, on the host. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
#include <stdio.h>

struct HostSerial {
    void begin(unsigned long rate);
    void println(const char *line);
};

extern HostSerial Serial;
void setup();
void loop();

#endif
