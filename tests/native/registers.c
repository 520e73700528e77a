/* SPDX-License-Identifier: Apache-2.0 */
/* Registers for drivers compiled for the host: each access is a call back into the test. */
#include <string.h>

#include "platform/cortex-m/registers.h"
#include "programs/device/driver.h"

typedef uint32_t (*reader)(uint32_t address);
typedef void (*writer)(uint32_t address, uint32_t value);
typedef void (*barrier)(void);

/* What the microphone's interrupt gave. */
extern int16_t mock_samples[8][WS_HOP];
extern unsigned mock_hops;

int16_t mock_samples[8][WS_HOP];
unsigned mock_hops;

bool ws_device_push(const int16_t pcm[WS_HOP]) {
    if (mock_hops == 8) return false;
    memcpy(mock_samples[mock_hops++], pcm, sizeof mock_samples[0]);
    return true;
}

void mock_registers(reader on_read, writer on_write, barrier on_barrier);

static reader read_hook;
static writer write_hook;
static barrier barrier_hook;

void mock_registers(reader on_read, writer on_write, barrier on_barrier) {
    read_hook = on_read;
    write_hook = on_write;
    barrier_hook = on_barrier;
}

uint32_t reg_read(uint32_t address) {
    return read_hook(address);
}

void reg_write(uint32_t address, uint32_t value) {
    write_hook(address, value);
}

void reg_barrier(void) {
    barrier_hook();
}
