/* SPDX-License-Identifier: Apache-2.0 */
/* What an exported example uses of ESP-IDF, on the host. */
#include <stdio.h>

#define ESP_LOGI(tag, format, ...) printf("I (0) %s: " format "\n", tag, ##__VA_ARGS__)
#define ESP_LOGE(tag, format, ...) printf("E (0) %s: " format "\n", tag, ##__VA_ARGS__)

void app_main(void);
