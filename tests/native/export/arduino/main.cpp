/* SPDX-License-Identifier: Apache-2.0 */
#include "Arduino.h"

HostSerial Serial;

void HostSerial::begin(unsigned long rate) {
    (void)rate;
}

void HostSerial::println(const char *line) {
    puts(line);
}

int main() {
    setup();
    loop();
}
