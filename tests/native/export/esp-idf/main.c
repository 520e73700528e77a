/* SPDX-License-Identifier: Apache-2.0 */
#include "esp_log.h"

int main(void) {
    app_main();
    return 0;
}
